// The pass over dense rows, the Hessian, the moments of the columns and the scaled copy; compiled once a target.
#include "regression.hpp"

#include "regression_block.hpp"
#include "regression_hessian.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {
namespace {

constexpr int64_t small_work = 200000;  // products that one thread has made before another wakes

int64_t chunks_of(const RegressionRows& rows) {
  const int64_t size = chunk_rows(rows.n_features);
  return (rows.n_rows + size - 1) / size;
}

// body(lane, chunk, next) for every chunk, in their order, so that rows come from memory as they lie there; `next` is
// the chunk that the same thread may well take next. False: `body` said so once.
template <class Body>
bool for_each_chunk(const RegressionRows& rows, int64_t n_lanes, int64_t work, int threads, const Body& body) {
  const int64_t n_chunks = chunks_of(rows), wanted = threads > 0 ? threads : thread_count();
  const int64_t used = work < small_work ? 1 : least(wanted, least(n_chunks, n_lanes));
  volatile bool is_well = true;
  parallel_in_lanes(n_chunks, n_lanes, int(used), [&](int64_t chunk) {
    if (!body((rows.first_chunk + chunk) % n_lanes, chunk, chunk + used)) is_well = false;
  });
  return is_well;
}

template <class Real>
void narrow_to(const double* from, int64_t count, Real* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = Real(from[i]);
}

template <class Real>
Coefficients<Real> narrow_coefficients(const double* weight, const double* bias, int64_t R, int64_t D,
                                       Pieces& pieces) {
  Real* const w = pieces.take<Real>(R * D);
  Real* const b = pieces.take<Real>(R);
  if (w) narrow_to(weight, R * D, w);
  if (b) narrow_to(bias, R, b);
  return {w, b};
}

template <class Real>
BlockRows<Real> block_of(const RegressionRows& rows, int64_t first, int64_t count) {
  return {static_cast<const Real*>(rows.features) + first * rows.n_features, count, rows.targets + first,
          rows.row_weights ? rows.row_weights + first : nullptr,
          least(8, (rows.n_rows - first - count) * rows.n_features)};
}

template <class Real>
struct PassCall {
  const RegressionPass& call;
  BlockSizes<Real> sizes;
  Coefficients<Real> point, tangent;
  BlockScratch<Real> scratch;

  void run_block(const BlockRows<Real>& rows, double* curvature, double* sums, int64_t ahead) const {
    constexpr int64_t width = panel_width<Real>;
    using Block = RegressionBlock<Real>;
    const int64_t R = sizes.n_outputs, D = sizes.n_features;
    const bool is_product = call.weight_tangent;
    double margin = infinity<double>;
    Block block(sizes, scratch, rows);
    const int64_t padded = block.padded_rows();
    for (int64_t first = 0; first < padded; first += width) {
      const int64_t columns = least(width, padded - first);
      block.make_logits(first, point, is_product ? &tangent : nullptr, ahead);
      if (R == 1) {
        const auto kind =
            curvature ? Block::Pair::curvature : (is_product ? Block::Pair::product : Block::Pair::residual);
        block.finish_pair(first, columns, point.bias[0], is_product ? tangent.bias[0] : Real(0), kind, margin,
                          curvature);
        continue;
      }
      if (call.with_margin)
        block.template exponentiate<true>(first, columns, point.bias, margin);
      else
        block.template exponentiate<false>(first, columns, point.bias, margin);
      if (curvature)
        block.curvature_of_classes(first, columns, curvature);
      else if (is_product)
        block.make_products(first, columns, tangent.bias);
      else
        block.make_residuals(first, columns);
    }
    if (curvature) return;
    for (int64_t k = 0; k < R; ++k) sums[R * D + k] += sum_over_rows(scratch.by_class + k * sizes.step, padded);
    double* const last = sums + R * (D + 1);
    if (!is_product) last[0] += block.sum_losses();
    if (margin < last[1]) last[1] = margin;
    add_gradient<Real>(R, D, {rows.x, D, scratch.by_class, sizes.step, rows.count, sums, D, ahead, 0});
  }
};

template <class Real>
bool run_pass(const RegressionPass& call) {
  const int64_t D = call.rows.n_features, R = call.n_outputs, size = chunk_rows(D);
  const bool has_tangent = call.weight_tangent;
  Pieces count(nullptr);
  for (int i = 0; i < 1 + has_tangent; ++i) narrow_coefficients<Real>(nullptr, nullptr, R, D, count);
  void* const memory = scratch(1, count.bytes());
  if (!memory) return false;
  Pieces pieces(memory);
  const Coefficients<Real> point = narrow_coefficients<Real>(call.weight, call.bias, R, D, pieces);
  Coefficients<Real> tangent = point;
  if (has_tangent) tangent = narrow_coefficients<Real>(call.weight_tangent, call.bias_tangent, R, D, pieces);
  const int64_t block_rows = rows_of_block<Real>(D, R * (1 + has_tangent));
  const BlockSizes<Real> sizes{D, R, block_rows};
  const int64_t n_chunks = chunks_of(call.rows), row_bytes = D * int64_t(sizeof(Real));
  return for_each_chunk(call.rows, call.n_lanes, call.rows.n_rows * most(D, 8) * R, call.threads,
                       [&](int64_t lane, int64_t chunk, int64_t next) {
    Pieces sizing(nullptr);
    block_scratch<Real>(sizes, has_tangent, sizing);
    void* const own = scratch(0, sizing.bytes());
    if (!own) return false;
    Pieces own_pieces(own);
    const PassCall<Real> pass{call, sizes, point, tangent, block_scratch<Real>(sizes, has_tangent, own_pieces)};
    const int64_t begin = chunk * size, end = least(begin + size, call.rows.n_rows);
    for (int64_t i = begin; i < end; i += block_rows) {
      const int64_t here = least(block_rows, end - i);
      const bool is_last = i + here == end;
      const int64_t ahead = is_last && next < n_chunks ? (next * size - i) * row_bytes : 0;
      pass.run_block(block_of<Real>(call.rows, i, here), call.curvature ? call.curvature + i : nullptr,
                     call.lanes + lane * (R * (D + 1) + 2), ahead);
    }
    return true;
  });
}

bool pass(const RegressionPass& call) {
  return call.rows.is_double ? run_pass<double>(call) : run_pass<float>(call);
}

bool hessian(const RegressionHessian& call) {
  const RegressionRows& rows = call.rows;
  const HessianSizes s = hessian_sizes(rows.n_features, call.n_outputs);
  const int64_t size = chunk_rows(rows.n_features), lane_size = s.n_pairs * s.length;
  const Coefficients<double> point{call.weight, call.bias};
  return for_each_chunk(rows, call.n_lanes, rows.n_rows * lane_size, call.threads,
                       [&](int64_t lane, int64_t chunk, int64_t) {
    Pieces sizing(nullptr);
    hessian_scratch(s, sizing);
    void* const own = scratch(0, sizing.bytes());
    if (!own) return false;
    Pieces pieces(own);
    const HessianScratch t = hessian_scratch(s, pieces);
    const int64_t end = least((chunk + 1) * size, rows.n_rows);
    for (int64_t i = chunk * size; i < end; i += s.block.step) {
      const int64_t here = least(s.block.step, end - i);
      BlockRows<double> block = block_of<double>(rows, i, here);
      if (!rows.is_double) {
        const float* const from = static_cast<const float*>(rows.features) + i * rows.n_features;
        for (int64_t j = 0; j < here * rows.n_features; ++j) t.rows[j] = double(from[j]);
        block.x = t.rows;
        block.readable = 8;
      }
      add_hessian(block, s, point, t, call.sums + lane * lane_size);
    }
    return true;
  });
}

SOFTCLASS_INLINE void widen(Floats x, Doubles* out) {
  out[0] = low_half(x);
  out[1] = high_half(x);
}
SOFTCLASS_INLINE void widen(Doubles x, Doubles* out) { out[0] = x; }

// Sums, and largest absolute values, of up to two vectors of columns of a chunk; then its squares about the mean.
template <class Real>
struct ColumnStrip {
  static constexpr int vectors = 2, parts = sizeof(Real) == 4 ? 2 : 1, width = vectors * lanes_of<Real>;
  const Real* x;
  int64_t n_rows, step;
  const double* weights;
  const double* shift;
  int columns;
  int64_t ahead;  // numbers from a row to the same one of the chunk that comes next; 0: none

  // Down a strip nothing foresees the next row, which is on another page.
  void fetch_ahead(int64_t r) const {
    constexpr int64_t line = 64 / int64_t(sizeof(Real));
    if (ahead == 0) return;
    for (int64_t j = 0; j < width; j += line) fetch_to_read(x + r * step + ahead + j);
  }

  template <bool is_whole>
  void read(int64_t r, Doubles* out) const {
    using V = Vector<Real>;
    constexpr int L = V::lanes;
    const V zero = broadcast_as(V{}, Real(0));
    for (int v = 0; v < vectors; ++v) {
      const int left = columns - v * L, count = left < 0 ? 0 : (left < L ? left : L);
      widen(is_whole ? load(x + r * step + v * L) : load_first(x + r * step + v * L, count, zero), out + v * parts);
    }
  }

  static constexpr int n = vectors * parts;
  template <bool is_whole>
  void run(double total, double* mean_out, double* squares_out, double* largest_out) const {
    const Doubles zero = broadcast(0.0);
    Doubles sum[n], rest[n], squares[n], largest[n], mean[n], value[n], from[n];
    for (int i = 0; i < n; ++i) {
      const int at = i * Doubles::lanes, count = columns - at < 0 ? 0 : columns - at;
      from[i] = load_first(shift + at, count < Doubles::lanes ? count : Doubles::lanes, zero);
      sum[i] = rest[i] = squares[i] = largest[i] = zero;
    }
    for (int64_t r = 0; r < n_rows; ++r) {
      read<is_whole>(r, value);
      const Doubles weight = broadcast(weights ? weights[r] : 1.0);
      for (int i = 0; i < n; ++i) {
        sum[i] = fma(weight, value[i] - from[i], sum[i]);
        largest[i] = greater_of(greater_of(value[i], zero - value[i]), largest[i]);
      }
    }
    for (int i = 0; i < n; ++i) mean[i] = sum[i] / broadcast(total);
    for (int64_t r = 0; r < n_rows; ++r) {
      fetch_ahead(r);
      read<is_whole>(r, value);
      const Doubles weight = broadcast(weights ? weights[r] : 1.0);
      for (int i = 0; i < n; ++i) {
        const Doubles off = (value[i] - from[i]) - mean[i], weighted = weight * off;
        rest[i] = rest[i] + weighted;
        squares[i] = fma(weighted, off, squares[i]);
      }
    }
    for (int i = 0; i < n; ++i) {  // what rounding left in the first mean
      const Doubles left = rest[i] / broadcast(total);
      const int at = i * Doubles::lanes, count = columns - at < Doubles::lanes ? columns - at : Doubles::lanes;
      if (count <= 0) break;
      store_first(mean_out + at, mean[i] + left, count);
      store_first(squares_out + at, greater_of(squares[i] - rest[i] * left, zero), count);
      store_first(largest_out + at, largest[i], count);
    }
  }
};

template <class Real>
void add_moments(const RegressionMoments& call, int64_t begin, int64_t end, int64_t next, double* lane) {
  const RegressionRows& rows = call.rows;
  constexpr int64_t width = ColumnStrip<Real>::width;
  const int64_t D = rows.n_features;
  double* const mean = lane;
  double* const squares = mean + D;
  double* const largest = squares + D;
  double* const before = lane + 3 * D;
  const double* const weights = rows.row_weights ? rows.row_weights + begin : nullptr;
  const int64_t ahead = next + (end - begin) <= rows.n_rows ? (next - begin) * D : 0;
  double total = 0.0;
  for (int64_t r = 0; r < end - begin; ++r) total += weights ? weights[r] : 1.0;
  if (!(total > 0.0)) return;
  const double both = *before + total, share = total / both;
  for (int64_t d = 0; d < D; d += width) {
    double m[width], s[width], l[width];
    const int columns = int(least(width, D - d));
    const ColumnStrip<Real> strip{static_cast<const Real*>(rows.features) + begin * D + d, end - begin, D, weights,
                                  call.shift + d, columns, ahead};
    if (columns == width)
      strip.template run<true>(total, m, s, l);
    else
      strip.template run<false>(total, m, s, l);
    for (int64_t j = 0; j < columns; ++j) {  // Chan, Golub and LeVeque
      const double apart = m[j] - mean[d + j];
      squares[d + j] += s[j] + apart * apart * (*before * share);
      mean[d + j] += apart * share;
      if (l[j] > largest[d + j]) largest[d + j] = l[j];
    }
  }
  *before = both;
}

bool moments(const RegressionMoments& call) {
  const RegressionRows& rows = call.rows;
  const int64_t size = chunk_rows(rows.n_features);
  return for_each_chunk(rows, call.n_lanes, rows.n_rows * rows.n_features * 4, call.threads,
                       [&](int64_t lane, int64_t chunk, int64_t following) {
    double* const out = call.lanes + lane * (3 * rows.n_features + 1);
    const int64_t begin = chunk * size, end = least(begin + size, rows.n_rows), next = following * size;
    if (rows.is_double)
      add_moments<double>(call, begin, end, next, out);
    else
      add_moments<float>(call, begin, end, next, out);
    return true;
  });
}

SOFTCLASS_INLINE void store_narrow(float* out, const Doubles* x) { store(out, narrow(x[0], x[1])); }
SOFTCLASS_INLINE void store_narrow(double* out, const Doubles* x) {
  store(out, x[0]);
  store(out + Doubles::lanes, x[1]);
}
SOFTCLASS_INLINE void load_wide(const float* x, Doubles* out) { widen(load(x), out); }
SOFTCLASS_INLINE void load_wide(const double* x, Doubles* out) {
  out[0] = load(x);
  out[1] = load(x + Doubles::lanes);
}

template <class From, class To>
void scale_rows(const RegressionScale& call, int64_t begin, int64_t end) {
  constexpr int n = 2 * Doubles::lanes;
  const int64_t D = call.rows.n_features, whole = D / n * n;
  const double* const shift = call.shift;
  const double* const factor = call.factor;
  const From* x = static_cast<const From*>(call.rows.features) + begin * D;
  To* out = static_cast<To*>(call.out) + begin * D;
  for (int64_t r = begin; r < end; ++r, x += D, out += D) {
    for (int64_t d = 0; d < whole; d += n) {
      Doubles value[2];
      load_wide(x + d, value);
      for (int i = 0; i < 2; ++i)
        value[i] = (value[i] - load(shift + d + i * Doubles::lanes)) * load(factor + d + i * Doubles::lanes);
      store_narrow(out + d, value);
    }
    for (int64_t d = whole; d < D; ++d) out[d] = To((double(x[d]) - shift[d]) * factor[d]);
  }
}

// body(first row, end) for every chunk, for what adds nothing up.
template <class Body>
void for_rows(const RegressionRows& rows, int threads, const Body& body) {
  const int64_t size = chunk_rows(rows.n_features);
  parallel(chunks_of(rows), rows.n_rows * rows.n_features < small_work ? 1 : threads, [&](int64_t chunk) {
    body(chunk * size, least((chunk + 1) * size, rows.n_rows));
  });
}

bool scale(const RegressionScale& call) {
  const RegressionRows& rows = call.rows;
  for_rows(rows, call.threads, [&](int64_t begin, int64_t end) {
    if (rows.is_double)
      call.out_is_double ? scale_rows<double, double>(call, begin, end) : scale_rows<double, float>(call, begin, end);
    else
      call.out_is_double ? scale_rows<float, double>(call, begin, end) : scale_rows<float, float>(call, begin, end);
  });
  return true;
}

template <class Real>
void square_lengths(const RegressionLengths& call, int64_t begin, int64_t end) {
  using V = Vector<Real>;
  constexpr int parts = int(row_unit) / V::lanes;
  const int64_t D = call.rows.n_features, whole = D / row_unit * row_unit;
  const Real* x = static_cast<const Real*>(call.rows.features) + begin * D;
  for (int64_t r = begin; r < end; ++r, x += D) {
    V sums[parts];
    for (int p = 0; p < parts; ++p) sums[p] = broadcast_as(V{}, Real(0));
    for (int64_t d = 0; d < whole; d += row_unit)
      for (int p = 0; p < parts; ++p) {
        const V value = load(x + d + p * V::lanes);
        sums[p] = fma(value, value, sums[p]);
      }
    double each[row_unit], sum = 0.0;
    for (int p = 0; p < parts; ++p) store_wide(each + p * V::lanes, sums[p]);
    for (int64_t j = 0; j < row_unit; ++j) sum += each[j];
    for (int64_t d = whole; d < D; ++d) sum += double(x[d]) * double(x[d]);
    call.lengths[r] = sum;
  }
}

bool lengths(const RegressionLengths& call) {
  const RegressionRows& rows = call.rows;
  for_rows(rows, call.threads, [&](int64_t begin, int64_t end) {
    rows.is_double ? square_lengths<double>(call, begin, end) : square_lengths<float>(call, begin, end);
  });
  return true;
}

// A number less itself is zero, or NaN for one that is not finite.
template <class Real>
bool are_finite(const Real* x, int64_t count) {
  using V = Vector<Real>;
  constexpr int chains = 4;
  constexpr int64_t unit = chains * V::lanes;
  V sums[chains];
  for (int i = 0; i < chains; ++i) sums[i] = broadcast_as(V{}, Real(0));
  int64_t j = 0;
  for (; j + unit <= count; j += unit)
    SOFTCLASS_UNROLL
    for (int i = 0; i < chains; ++i) {
      const V value = load(x + j + i * V::lanes);
      sums[i] = sums[i] + (value - value);
    }
  Real each[V::lanes], sum = Real(0);
  store(each, (sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (int i = 0; i < V::lanes; ++i) sum += each[i];
  for (; j < count; ++j) sum += x[j] - x[j];
  return sum == Real(0);
}

bool is_finite(const RegressionRows& rows, int threads) {
  volatile bool is_well = true;
  for_rows(rows, threads, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * rows.n_features, count = (end - begin) * rows.n_features;
    if (!(rows.is_double ? are_finite(static_cast<const double*>(rows.features) + first, count)
                         : are_finite(static_cast<const float*>(rows.features) + first, count)))
      is_well = false;
  });
  return is_well;
}

}  // namespace

extern const RegressionKernels regression_kernels;
const RegressionKernels regression_kernels = {pass, hessian, join_hessian, moments, scale, lengths, is_finite};

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
