// Which kernel computes a layout. All of them give a row the same bits, so that the choice is one of speed alone.
#pragma once

#include "softmax_blocks.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

constexpr int64_t task_elements = 32768, serial_elements = 65536;

// body(first, count) for pieces of `n` units of `unit` elements each, on the threads if there is enough work. Pieces
// are multiples of `multiple`.
template <class Body>
SOFTCLASS_INLINE void in_tasks(int64_t n, int64_t unit, int64_t multiple, int threads, const Body& body) {
  if (n * unit < serial_elements) return parallel(1, 1, [&](int64_t) { body(int64_t(0), n); });
  int64_t piece = task_elements / unit / multiple * multiple;
  if (piece < multiple) piece = multiple;
  parallel((n + piece - 1) / piece, threads, [&](int64_t task) {
    const int64_t first = task * piece;
    body(first, n - first < piece ? n - first : piece);
  });
}

template <Output output, bool tempered, class Real>
class SoftmaxPaths {
 public:
  explicit SoftmaxPaths(const SoftmaxJob& job)
      : job_(job), layout_(job.layout), N_(layout_.n_rows), K_(layout_.n_classes) {}

  void run() const {
    if (N_ == 0) return;
    if (K_ == 0) return output == Output::log_partition ? fill_empty() : void();
    if (K_ > longest_row) return blocks();
    const bool is_plain =
        !job_.has_where && layout_.is_aligned && layout_.element[0] == own && layout_.element[1] == own;
    if (is_plain && K_ > 1 && K_ <= few_classes && rows_are_even()) return few();
    if (is_plain && K_ > few_classes && layout_.has_unit_classes(0) && (is_partition || layout_.has_unit_classes(1)))
      return rows();
    if (is_plain && rows_are_side_by_side()) return side_by_side();
    staged();
  }

 private:
  using V = Vector<Real>;
  static constexpr bool is_partition = output == Output::log_partition;
  static constexpr Element own = sizeof(Real) == 4 ? Element::float32 : Element::float64;
  static constexpr int64_t size = sizeof(Real);

  const Real* logits(int64_t row) const { return reinterpret_cast<const Real*>(row_of(layout_, 0, row)); }
  Real* result(int64_t row) const { return reinterpret_cast<Real*>(row_of(layout_, 1, row)); }

  InverseTemperature<Doubles> wide_beta() const {
    // 1 - T (1 / T) is exact by fma: what 1 / T lacks.
    const double shrink = job_.temperature > 1.0 ? 0.5 : 1.0, T = job_.temperature * shrink,
                 largest = 0x1.fffffffffffffp1023;
    const double high = 1.0 / T < largest ? 1.0 / T : largest;  // of the least temperatures `low` is a good part
    const double left = first(fma(broadcast(-high), broadcast(T), broadcast(1.0)));
    return {broadcast(high), broadcast(left * high), broadcast(shrink)};
  }
  InverseTemperature<V> beta() const {
    const InverseTemperature<Doubles> wide = wide_beta();
    if constexpr (sizeof(Real) == 8) return wide;
    const double high = first(wide.high), own_high = double(float(high));
    return {broadcast(Real(own_high)), broadcast(Real((high - own_high) + first(wide.low))),
            broadcast(Real(first(wide.shrink)))};
  }

  // One row axis, rows ascending and not overlapping.
  bool rows_are_even() const {
    const Axis& axis = layout_.rows[0];
    if (layout_.n_row_axes != 1 || !layout_.has_unit_classes(0) || (N_ > 1 && axis.strides[0] < K_ * size))
      return false;
    if (is_partition) return N_ == 1 || axis.strides[1] == size;
    return layout_.has_unit_classes(1) && (N_ == 1 || axis.strides[1] >= K_ * size);
  }
  bool rows_are_side_by_side() const {
    const Axis& axis = layout_.last_rows();
    return layout_.n_class_axes == 1 && axis.strides[0] == size && axis.strides[1] == size && axis.length >= 4;
  }

  // Differences of 16-bit logits often lie half way between two 16-bit numbers, and a small log sum decides.
  bool rounds_to_odd() const {
    return output == Output::log_probabilities &&
           (layout_.element[1] == Element::float16 || layout_.element[1] == Element::bfloat16);
  }

  void fill_empty() const {
    const Real nothing = -infinity<Real>;
    for (int64_t i = 0; i < N_; ++i) write_elements(layout_.element[1], &nothing, 1, row_of(layout_, 1, i), 0);
  }

  void few() const {
    const InverseTemperature<V> b = beta();
    const int64_t z_stride = N_ == 1 ? K_ : layout_.rows[0].strides[0] / size;
    const int64_t y_stride = is_partition ? 1 : N_ == 1 ? K_ : layout_.rows[0].strides[1] / size;
    in_tasks(N_, K_, 16, job_.threads, [&](int64_t first, int64_t count) {
      softmax_few_classes<output, tempered>(logits(first), z_stride, count, first + count < N_, int(K_), result(first),
                                            y_stride, result(first), b);
    });
  }

  void rows() const {
    const InverseTemperature<V> b = beta();
    in_tasks(N_, K_, 1, job_.threads, [&](int64_t first, int64_t count) {
      for (int64_t i = first; i < first + count; ++i)
        softmax_row<output, tempered>(logits(i), K_, result(i), logits(i + 1 < N_ ? i + 1 : i), b);
    });
  }

  // Classes of a row lie far apart, often so that few of them fit into a cache together: more of them than a block has
  // are computed in scratch, several vectors of rows at a time.
  void side_by_side() const {
    const InverseTemperature<V> b = beta();
    const int64_t z_step = layout_.classes[0].strides[0] / size, y_step = layout_.classes[0].strides[1] / size;
    const int64_t width = K_ <= few_classes ? V::lanes : slice_width();
    const int64_t inner = layout_.last_rows().length, slices = (inner + width - 1) / width;
    in_tasks(N_ / inner * slices, width * K_, 1, job_.threads, [&](int64_t first, int64_t count) {
      for (int64_t u = first; u < first + count; ++u) {
        const int64_t place = u % slices * width, row = u / slices * inner + place;
        const int rows = inner - place < width ? int(inner - place) : int(width);
        if (K_ <= few_classes)
          softmax_side_by_side<output, tempered>(logits(row), z_step, int(K_), rows, result(row), y_step, result(row),
                                                 b);
        else
          slice(logits(row), z_step, rows, result(row), y_step, b);
      }
    });
  }
  // Rows of a slice: whole cache lines of each class, and scratch that fits into the second cache.
  int64_t slice_width() const {
    int64_t width = V::lanes;
    while (width * size < 256 && 2 * width * K_ * size <= (int64_t(1) << 19)) width *= 2;
    return width;
  }
  void slice(const Real* z, int64_t z_step, int rows, Real* y, int64_t y_step, InverseTemperature<V> b) const {
    const int64_t vectors = (rows + V::lanes - 1) / V::lanes, column = K_ * V::lanes;
    Real* const staged = static_cast<Real*>(scratch(0, vectors * column * size));
    if (!staged) return;
    const auto lanes_in = [&](int64_t v) {
      return rows - v * V::lanes < V::lanes ? int(rows - v * V::lanes) : V::lanes;
    };
    for (int64_t c = 0; c < K_; ++c)
      for (int64_t v = 0; v < vectors; ++v)
        store(staged + v * column + c * V::lanes,
              Column<const Real>{z + v * V::lanes, z_step, K_, lanes_in(v)}.read(c));
    for (int64_t v = 0; v < vectors; ++v) {
      Real* const at = staged + v * column;
      softmax_columns<output, tempered>(Column<const Real>{at, V::lanes, K_, lanes_in(v)},
                                        Column<Real>{at, V::lanes, K_, lanes_in(v)}, y + v * V::lanes, b);
    }
    for (int64_t c = 0; c < K_ && !is_partition; ++c)
      for (int64_t v = 0; v < vectors; ++v)
        Column<Real>{y + v * V::lanes, y_step, K_, lanes_in(v)}.write(c, load(staged + v * column + c * V::lanes));
  }

  // Any layout and type: rows are copied to scratch, computed there and copied to the result.
  void staged() const {
    const InverseTemperature<V> b = beta();
    const int64_t at_once = K_ <= 32 ? 64 : K_ <= few_classes ? 16 : 1;  // in the nearest cache
    in_tasks(N_, K_, at_once, job_.threads, [&](int64_t first, int64_t count) {
      const int64_t end = first + count;
      Real* const z = static_cast<Real*>(scratch(0, (at_once * K_ + at_once) * size));
      if (!z) return;
      Real* const values = z + at_once * K_;
      for (int64_t i = first; i < end; i += at_once) {
        const int64_t n = end - i < at_once ? end - i : at_once;
        read_rows(layout_, 0, i, n, z);
        if (job_.has_where) mask_rows(layout_, 2, i, n, z);
        if (rounds_to_odd())
          for (int64_t j = 0; j < n; ++j) log_softmax_row_to_odd<tempered>(z + j * K_, K_, z + j * K_, b, wide_beta());
        else if (K_ <= few_classes)
          softmax_few_classes<output, tempered>(z, K_, n, false, int(K_), z, K_, values, b);
        else
          softmax_row<output, tempered>(z, K_, is_partition ? values : z, z, b);
        if constexpr (is_partition) {
          for (int64_t j = 0; j < n; ++j)
            write_elements(layout_.element[1], values + j, 1, row_of(layout_, 1, i + j), 0);
        } else {
          for (int64_t j = 0; j < n && job_.has_where; ++j)  // NaN so far
            if (z[j * K_] != z[j * K_] && count_classes(layout_, 2, i + j, 0, K_) == 0)
              fill_row(z + j * K_, K_, output == Output::probabilities ? Real(0) : -infinity<Real>);
          write_rows(layout_, 1, i, n, z);
        }
      }
    });
  }

  struct Piece {
    const Real* data;
    int64_t count, n_present;
  };
  // The classes of block `block` of a row, read to scratch unless they can be read where they lie.
  Piece block_of(int64_t row, int64_t block, Real* staged) const {
    const int64_t begin = block * block_classes, left = K_ - begin, n = left < block_classes ? left : block_classes;
    const bool is_plain = !job_.has_where && layout_.is_aligned && layout_.element[0] == own;
    if (is_plain && layout_.has_unit_classes(0)) return {logits(row) + begin, n, n};
    read_classes(layout_, 0, row, begin, n, staged);
    if (!job_.has_where) return {staged, n, n};
    mask_classes(layout_, 2, row, begin, n, staged);
    return {staged, n, count_classes(layout_, 2, row, begin, n)};
  }

  void blocks() const {
    const InverseTemperature<V> b = beta();
    const int64_t per_row = (K_ + block_classes - 1) / block_classes;
    RowState* const states = static_cast<RowState*>(scratch(2, N_ * per_row * int64_t(sizeof(RowState))));
    if (!states) return;
    parallel(N_ * per_row, job_.threads, [&](int64_t task) {
      Real* const staged = static_cast<Real*>(scratch(0, block_classes * size));
      if (!staged) return;
      const Piece piece = block_of(task / per_row, task % per_row, staged);
      states[task] = block_state<tempered>(piece.data, piece.count, piece.n_present, b);
    });
    parallel(1, 1, [&](int64_t) { merge_states(states, per_row); });
    if constexpr (!is_partition) {
      parallel(N_ * per_row, job_.threads, [&](int64_t task) {
        Real* const staged = static_cast<Real*>(scratch(0, block_classes * size));
        if (staged) apply_block(task / per_row, task % per_row, states[task / per_row * per_row], staged, b);
      });
    }
  }
  // The state of a row is left in the place of its first block.
  void merge_states(RowState* states, int64_t per_row) const {
    const InverseTemperature<Doubles> wide = wide_beta();
    for (int64_t i = 0; i < N_; ++i, states += per_row) {
      for (int64_t k = 1; k < per_row; ++k) states[0] = merge<tempered>(states[0], states[k], wide);
      if constexpr (is_partition) {
        const Real value = partition_of(*states);
        write_elements(layout_.element[1], &value, 1, row_of(layout_, 1, i), 0);
      }
    }
  }
  static Real partition_of(const RowState& state) {
    if (state.rest.sum != state.rest.sum) return not_a_number<Real>();
    if (!is_finite(state.maximum)) return Real(state.maximum);
    return first(log_partition(broadcast(Real(state.maximum)), spread(V(), state.rest)));
  }
  void apply_block(int64_t row, int64_t block, RowState state, Real* staged, InverseTemperature<V> b) const {
    const Piece piece = block_of(row, block, staged);
    const bool is_direct = layout_.is_aligned && layout_.element[1] == own && layout_.has_unit_classes(1);
    Real* const y = is_direct ? result(row) + block * block_classes : staged;
    if (rounds_to_odd() && is_finite(state.maximum) && state.rest.sum == state.rest.sum)
      log_row_to_odd(piece.data, piece.count, state.maximum, state.rest.sum, y, wide_beta());
    else
      apply_state<output, tempered>(piece.data, piece.count, state, y, b);
    if (!is_direct) write_classes(layout_, 1, row, block * block_classes, piece.count, y);
  }

  const SoftmaxJob& job_;
  const Layout& layout_;
  const int64_t N_, K_;
};

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
