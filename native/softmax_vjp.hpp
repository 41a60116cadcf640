// factor p (g - <p, g>): the product of a cotangent, or of a tangent, with the Jacobian of softmax. g is measured from
// its value at the largest p, w = g - g_k: the sum of p w has no term there and p (w - <p, w>) cancels nothing.
#pragma once

#include "softmax_paths.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

SOFTCLASS_INLINE Floats rounded(Sum<Floats> total) { return narrow(total.low, total.high); }
SOFTCLASS_INLINE Doubles rounded(Sum<Doubles> total) { return total.sum + total.lost; }

// A row a lane: p(c) and g(c) give class c of all lanes, write(c, x) takes it.
template <class V, class P, class G, class Write>
SOFTCLASS_INLINE void vjp_lanes(int64_t K, V factor, const P& p, const G& g, const Write& write) {
  V largest_p = p(0), centre = g(0);
  for (int64_t c = 1; c < K; ++c) {
    const V x = p(c);
    centre = select(less(largest_p, x), g(c), centre);
    largest_p = greater_of(x, largest_p);
  }
  Sum<V> total;
  if (K <= few_classes) {
    clear(total);
    for (int64_t c = 0; c < K; ++c) add_to(total, p(c) * (g(c) - centre));
  } else {
    Sum<V> sums[partial_sums];
    for (auto& sum : sums) clear(sum);
    for (int64_t c = 0; c < K; ++c) add_to(sums[c % partial_sums], p(c) * (g(c) - centre));
    total = folded(sums);
  }
  const V mean = rounded(total);
  for (int64_t c = 0; c < K; ++c) write(c, factor * (p(c) * ((g(c) - centre) - mean)));
}

template <class Real>
SOFTCLASS_INLINE int64_t first_largest(const Real* p, int64_t K) {
  const Real m = row_maximum(p, K);
  for (int64_t c = 0; c < K; ++c)
    if (p[c] == m) return c;
  return 0;  // all are NaN
}

template <class Real>
static void vjp_row(const Real* p, const Real* g, int64_t K, Real factor, Real* y) {
  using V = Vector<Real>;
  constexpr int lanes = V::lanes;
  const V centre = broadcast(g[first_largest(p, K)]), zero = broadcast(Real(0)), scale = broadcast(factor);
  Sum<V> sums[partial_sums / lanes];
  SOFTCLASS_UNROLL
  for (auto& sum : sums) clear(sum);
  int64_t j = 0;
  for (; j + partial_sums <= K; j += partial_sums) {
    SOFTCLASS_UNROLL
    for (int i = 0; i < partial_sums / lanes; ++i)
      add_to(sums[i], load(p + j + i * lanes) * (load(g + j + i * lanes) - centre));
  }
  for (int i = 0; j < K; j += lanes, ++i) {
    const int count = K - j < lanes ? int(K - j) : lanes;
    add_to(sums[i], load_first(p + j, count, zero) * (load_first(g + j, count, centre) - centre));
  }
  const V mean = rounded(spread(V(), total_of(sums)));
  for (j = 0; j + lanes <= K; j += lanes) store(y + j, scale * (load(p + j) * ((load(g + j) - centre) - mean)));
  if (j < K) {
    const int count = int(K - j);
    const V w = load_first(g + j, count, centre) - centre;
    store_first(y + j, scale * (load_first(p + j, count, zero) * (w - mean)), count);
  }
}

template <class Real>
class VjpPaths {
 public:
  explicit VjpPaths(const VjpJob& job) : job_(job), layout_(job.layout), N_(layout_.n_rows), K_(layout_.n_classes) {}

  void run() const {
    if (N_ == 0 || K_ == 0) return;
    bool is_plain = layout_.is_aligned, is_unit = true, is_side_by_side = layout_.n_class_axes == 1;
    for (int o = 0; o < 3; ++o) {
      is_plain &= layout_.element[o] == (sizeof(Real) == 4 ? Element::float32 : Element::float64);
      is_unit &= layout_.has_unit_classes(o);
      is_side_by_side &= layout_.last_rows().strides[o] == size;
    }
    if (is_plain && is_unit && K_ > few_classes) return rows();
    if (is_plain && is_unit && K_ > 1 && layout_.n_row_axes == 1) {
      bool is_even = true;  // rows ascending and not overlapping
      for (int o = 0; o < 3; ++o) is_even &= N_ == 1 || layout_.rows[0].strides[o] >= K_ * size;
      if (is_even) return few();
    }
    if (is_plain && is_side_by_side && layout_.last_rows().length >= 4) return side_by_side();
    staged();
  }

 private:
  using V = Vector<Real>;
  static constexpr int64_t size = sizeof(Real);

  Real* row(int operand, int64_t i) const { return reinterpret_cast<Real*>(row_of(layout_, operand, i)); }
  Real factor() const { return Real(job_.factor); }

  void rows() const {
    in_tasks(N_, K_, 1, job_.threads, [&](int64_t first, int64_t count) {
      for (int64_t i = first; i < first + count; ++i) vjp_row(row(0, i), row(1, i), K_, factor(), row(2, i));
    });
  }

  // Blocks are read and written where they lie; the last one, whose reading would pass the end, goes through scratch.
  void few() const {
    const int64_t *strides = layout_.rows[0].strides,
                  stride[3] = {strides[0] / size, strides[1] / size, strides[2] / size};
    in_tasks(N_, K_, 16, job_.threads, [&](int64_t first, int64_t count) {
      const int64_t end = first + count, whole = end < N_ ? end : N_ - 1;
      int64_t i = first;
      for (; i + V::lanes <= whole; i += V::lanes)
        block(row(0, i), stride[0], row(1, i), stride[1], row(2, i), stride[2]);
      if (i < end) through_scratch(i, end);
    });
  }

  void side_by_side() const {
    const Axis& classes = layout_.classes[0];
    const int64_t steps[3] = {classes.strides[0] / size, classes.strides[1] / size, classes.strides[2] / size};
    const int64_t inner = layout_.last_rows().length, vectors = (inner + V::lanes - 1) / V::lanes;
    const V zero = broadcast(Real(0)), scale = broadcast(factor());
    in_tasks(N_ / inner * vectors, V::lanes * K_, 1, job_.threads, [&](int64_t first, int64_t count) {
      for (int64_t u = first; u < first + count; ++u) {
        const int64_t place = u % vectors * V::lanes, i = u / vectors * inner + place;
        const int lanes = inner - place < V::lanes ? int(inner - place) : V::lanes;
        const Real *p = row(0, i), *g = row(1, i);
        Real* const y = row(2, i);
        vjp_lanes<V>(
            K_, scale, [&](int64_t c) { return load_first(p + c * steps[0], lanes, zero); },
            [&](int64_t c) { return load_first(g + c * steps[1], lanes, zero); },
            [&](int64_t c, V x) { store_first(y + c * steps[2], x, lanes); });
      }
    });
  }

  void staged() const {
    in_tasks(N_, K_, 16, job_.threads, [&](int64_t first, int64_t count) { through_scratch(first, first + count); });
  }
  void through_scratch(int64_t first, int64_t end) const {
    const int64_t at_once = K_ <= few_classes ? V::lanes : 1, room = at_once * K_ + over_read<Real>;
    Real* const p = static_cast<Real*>(scratch(0, 2 * room * size));
    if (!p) return;
    Real* const g = p + room;
    for (int64_t j = 0; j < 2 * room; ++j) p[j] = Real(0);
    for (int64_t i = first; i < end; i += at_once) {
      const int64_t n = end - i < at_once ? end - i : at_once;
      read_rows(layout_, 0, i, n, p);
      read_rows(layout_, 1, i, n, g);
      if (K_ <= few_classes)
        block(p, K_, g, K_, p, K_);
      else
        vjp_row(p, g, K_, factor(), p);
      write_rows(layout_, 2, i, n, p);
    }
  }
  void block(const Real* p, int64_t p_stride, const Real* g, int64_t g_stride, Real* y, int64_t y_stride) const {
    V of_p[padded<Real>(few_classes)], of_g[padded<Real>(few_classes)];
    const int K = int(K_);
    load_block(p, p_stride, K, of_p);
    load_block(g, g_stride, K, of_g);
    vjp_lanes<V>(
        K, broadcast(factor()), [&](int64_t c) { return of_p[c]; }, [&](int64_t c) { return of_g[c]; },
        [&](int64_t c, V x) { of_p[c] = x; });
    store_block(of_p, y, y_stride, K);
  }

  const VjpJob& job_;
  const Layout& layout_;
  const int64_t N_, K_;
};

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
