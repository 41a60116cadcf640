#include "cholesky_solve.hpp"

#include "matmul_pack.hpp"
#include "threads.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {
namespace {

constexpr int64_t block_rows = 16;  // a number of lanes that every target's vectors fill: sums have one order
constexpr int group_rows = 4;       // whose products with the solution are summed together

// One lower triangle, and the numbers of one right side, which become the solution.
template <class Real>
class Triangle {
  using V = Vector<Real>;
  static constexpr int vectors = int(block_rows) / V::lanes;

 public:
  Triangle(const Real* factor, int64_t n, Real* x) : factor_(factor), n_(n), x_(x) {}

  void solve() const {
    for (int64_t first = 0; first < n_; first += block_rows) forwards(first, least(first + block_rows, n_));
    for (int64_t first = (n_ - 1) / block_rows * block_rows; first >= 0; first -= block_rows)
      backwards(first, least(first + block_rows, n_));
  }

 private:
  const Real* row(int64_t i) const { return factor_ + i * n_; }

  void forwards(int64_t first, int64_t end) const {
    if (first > 0)
      for (int64_t i = first; i < end; i += group_rows) subtract_products(i, least(group_rows, end - i), first);
    for (int64_t i = first; i < end; ++i) {
      Real left = x_[i];
      for (int64_t j = first; j < i; ++j) left -= row(i)[j] * x_[j];
      x_[i] = left / row(i)[i];
    }
  }

  // x[i] -= sum_j row(i)[j] x[j] over the first `columns` of them, for some rows at once.
  void subtract_products(int64_t i, int64_t count, int64_t columns) const {
    const Real* rows[group_rows];
    for (int r = 0; r < group_rows; ++r) rows[r] = row(i + least(r, count - 1));
    V sums[group_rows][vectors];
    SOFTCLASS_UNROLL
    for (int r = 0; r < group_rows; ++r)
      SOFTCLASS_UNROLL
      for (int v = 0; v < vectors; ++v) sums[r][v] = broadcast_as(V{}, Real(0));
    for (int64_t j = 0; j < columns; j += block_rows) {
      SOFTCLASS_UNROLL
      for (int v = 0; v < vectors; ++v) {
        const V x = load(x_ + j + v * V::lanes);
        SOFTCLASS_UNROLL
        for (int r = 0; r < group_rows; ++r) sums[r][v] = fma(load(rows[r] + j + v * V::lanes), x, sums[r][v]);
      }
    }
    for (int r = 0; r < int(count); ++r) {
      Real each[block_rows];
      for (int v = 0; v < vectors; ++v) store(each + v * V::lanes, sums[r][v]);
      for (int64_t half = block_rows / 2; half > 0; half /= 2)
        for (int64_t k = 0; k < half; ++k) each[k] += each[k + half];
      x_[i + r] -= each[0];
    }
  }

  void backwards(int64_t first, int64_t end) const {
    for (int64_t i = end - 1; i >= first; --i) {
      Real left = x_[i];
      for (int64_t j = end - 1; j > i; --j) left -= row(j)[i] * x_[j];
      x_[i] = left / row(i)[i];
    }
    for (int64_t i = first; i < end; i += group_rows) subtract_multiples(i, least(group_rows, end - i), first);
  }

  // x[j] -= sum_i row(i)[j] x[i] for the first `columns` of them, from some rows at once.
  void subtract_multiples(int64_t i, int64_t count, int64_t columns) const {
    const Real* rows[group_rows];
    V factors[group_rows];
    for (int r = 0; r < group_rows; ++r) {
      rows[r] = row(i + least(r, count - 1));
      factors[r] = broadcast_as(V{}, r < count ? -x_[i + r] : Real(0));
    }
    for (int64_t j = 0; j < columns; j += V::lanes) {
      V x = load(x_ + j);
      SOFTCLASS_UNROLL
      for (int r = 0; r < group_rows; ++r) x = fma(factors[r], load(rows[r] + j), x);
      store(x_ + j, x);
    }
  }

  const Real* factor_;
  const int64_t n_;
  Real* const x_;
};

template <class Real>
bool solve_all(const CholeskySolve& call) {
  const int64_t n = call.n;
  volatile bool is_well = true;
  parallel(call.n_factors, call.threads, [&](int64_t k) {
    Real* const x = static_cast<Real*>(scratch(0, n * int64_t(sizeof(Real))));
    if (!x) {
      is_well = false;
      return;
    }
    const double* const scale = call.scale + k * n;
    const Triangle<Real> triangle(static_cast<const Real*>(call.factors) + k * n * n, n, x);
    for (int64_t side = 0; side < call.n_sides; ++side) {
      const int64_t place = (side * call.n_factors + k) * n;
      for (int64_t i = 0; i < n; ++i) x[i] = Real(call.right[place + i] / scale[i]);
      triangle.solve();
      for (int64_t i = 0; i < n; ++i) call.solution[place + i] = double(x[i]) / scale[i];
    }
  });
  return is_well;
}

bool solve(const CholeskySolve& call) { return call.is_double ? solve_all<double>(call) : solve_all<float>(call); }

}  // namespace

extern const CholeskyKernels cholesky_kernels;
const CholeskyKernels cholesky_kernels = {solve};

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
