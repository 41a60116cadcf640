// What is done with a chunk of rows and a tile of classes, phase by phase; a phase is a call of all threads.
#pragma once

#include "linear_chunk.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

template <class Real>
class ChunkPhases {
 public:
  ChunkPhases(const LinearLoss& call, const ChunkSizes& sizes, const ChunkMemory<Real>& memory)
      : call_(call), s_(sizes), m_(memory) {
    Pieces count(nullptr);
    chunk_scratch<Real>(call, sizes, count);
    scratch_bytes_ = count.bytes();
  }

  bool has_no_memory() const { return has_no_memory_; }
  int64_t n_active() const { return m_.active.count; }

  // The next rows that weigh anything, as many as a chunk holds; returns where the search ended.
  int64_t collect(int64_t first) {
    m_.active.count = 0;
    int64_t i = first;
    while (i < call_.n_rows && m_.active.count < s_.chunk_rows) {
      const int64_t end = least(call_.n_rows, i + s_.chunk_rows - m_.active.count);
      const int64_t known = m_.active.count;
      collect_rows(call_, i, end, m_.active);
      clear_absent(i, end, known);
      i = end;
    }
    n_rows_ = rounded_up(m_.active.count, row_unit);
    return i;
  }

  // Features of the chunk, in panels of rows for the logits and of columns for the gradient of the weight.
  void pack_features() {
    parallel((n_rows_ + pack_rows - 1) / pack_rows, call_.threads, [&](int64_t task) {
      constexpr int64_t width = panel_width<Real>;
      ChunkScratch<Real> t;
      if (!find_scratch(t)) return;
      const int64_t first = task * pack_rows, D = call_.n_features, step = s_.features_step;
      for (int64_t r = 0; r < pack_rows; ++r) {
        Real* const row = t.rows + r * step;
        const bool is_there = first + r < m_.active.count;
        if (is_there) copy_of_row(call_.features, m_.active.row[first + r], 0, D, row);
        fill(row + (is_there ? D : 0), step - (is_there ? D : 0), Real(0));
      }
      pack_transposed(t.rows, step, pack_rows, step, m_.transposed + first * step, width * step);
      if (call_.weight_gradient)
        pack(t.rows, step, pack_rows, D, m_.features + first * width, rounded_up(s_.chunk_rows, pack_rows) * width);
    });
  }

  void begin() { begin_rows(m_.state, m_.rows.target_logit, n_rows_); }

  // Logits of the classes first ... end - 1, at most a merge of blocks of them; their states go into those of the rows.
  // With `keep` all classes are the tile, and their exponentials stay, from the maximum of their block.
  void add_classes(int64_t first, int64_t end, bool keep) {
    const int64_t size = s_.block_classes, n_blocks = (end - first + size - 1) / size, M = s_.chunk_rows;
    parallel(n_blocks, call_.threads, [&](int64_t b) {
      ChunkScratch<Real> t;
      if (!find_scratch(t)) return;
      const int64_t c = first + b * size;
      const LogitBlock<Real> block = {keep ? m_.logits[0] + c * M : t.logits[0], M, c, least(size, end - c), n_rows_};
      const Real* const tangents =
          s_.n_logits > 1 ? make_tangents(t, block, keep ? m_.logits[1] + c * M : t.logits[1]) : nullptr;
      make_states(t, block, tangents, state_of(b, keep ? c / size : b));
    });
    parallel((n_rows_ + pack_rows - 1) / pack_rows, n_blocks < 16 ? 1 : call_.threads, [&](int64_t task) {
      const int64_t from = task * pack_rows, count = least(pack_rows, n_rows_ - from);
      merge_blocks(state_of(0, keep ? first / size : 0), M, n_blocks, size, end - first, m_.state, double(first), from,
                   count);
    });
  }

  // The same for rows whose states are known: exponentials of the tile, from the maximum of the row.
  void repeat_classes(int64_t first, int64_t end) {
    const int64_t size = s_.block_classes, M = s_.chunk_rows;
    parallel((end - first + size - 1) / size, call_.threads, [&](int64_t b) {
      ChunkScratch<Real> t;
      if (!find_scratch(t)) return;
      const int64_t c = first + b * size;
      const LogitBlock<Real> block = {m_.logits[0] + b * size * M, M, c, least(size, end - c), n_rows_};
      if (s_.n_logits > 1) make_tangents(t, block, m_.logits[1] + b * size * M);
      make_logits(t, block, m_.all_maxima + b * M);
      exponentiate_from(block, m_.state.maximum);
    });
  }

  void finish(double divisor) {
    parallel((n_rows_ + pack_rows - 1) / pack_rows, n_rows_ < 512 ? 1 : call_.threads, [&](int64_t task) {
      const int64_t from = task * pack_rows, count = least(pack_rows, n_rows_ - from);
      finish_rows(call_, divisor, m_.active, m_.state, m_.rows, m_.losses, from, count);
    });
  }

  void store_losses() {
    for (int64_t r = 0; r < m_.active.count; ++r) {
      const int64_t row = m_.active.row[r];
      m_.parts[3 * n_sums(call_) + row / sum_rows] += m_.losses[r];
      if (call_.losses) call_.losses[row] = m_.losses[r];
    }
  }

  // States of the rows, from one sweep to the next.
  void keep_states() {
    double* const from[5] = {m_.state.maximum, m_.state.rest, m_.state.mass, m_.state.centre, m_.state.deviation};
    for (int i = 0; i < 5; ++i)
      for (int64_t r = 0; r < m_.active.count && m_.known[i]; ++r) m_.known[i][m_.active.row[r]] = from[i][r];
  }
  void recall_states() {
    begin();
    double* const to[5] = {m_.state.maximum, m_.state.rest, m_.state.mass, m_.state.centre, m_.state.deviation};
    for (int i = 0; i < 5; ++i)
      for (int64_t r = 0; r < m_.active.count && m_.known[i]; ++r) to[i][r] = m_.known[i][m_.active.row[r]];
  }

  struct Wanted {
    bool weight, features;
    bool add_to_weight;  // not the first chunk of these classes
    bool add_to_slabs;   // not the first tile of these rows
    bool is_known;       // exponentials refer to the maximum of the row
  };

  // Gradients of the classes first ... end - 1, which are the tile, from their exponentials.
  void add_gradients(int64_t first, int64_t end, const Wanted& wanted) {
    const int64_t size = s_.block_classes, n_blocks = (end - first + size - 1) / size;
    const int64_t n_tasks = wanted.features ? least(s_.n_slabs, n_blocks) : n_blocks;
    parallel(n_tasks, call_.threads, [&](int64_t task) {
      ChunkScratch<Real> t;
      if (!find_scratch(t)) return;
      const int64_t begin = n_blocks * task / n_tasks, stop = n_blocks * (task + 1) / n_tasks;
      for (int64_t b = begin; b < stop; ++b) {
        const int64_t c = first + b * size, n = least(size, end - c);
        const LogitBlock<Real> block = {m_.logits[0] + b * size * s_.chunk_rows, s_.chunk_rows, c, n, n_rows_};
        const double* maximum = wanted.is_known ? m_.state.maximum : m_.all_maxima + b * s_.chunk_rows;
        make_block_gradient(t, block, b * size, maximum);
        if (wanted.weight) add_weight_gradient(t, block, b * size, wanted.add_to_weight);
        if (wanted.features) add_features_gradient(t, block, task, b > begin || wanted.add_to_slabs);
      }
    });
    n_used_slabs_ = wanted.add_to_slabs ? most(n_used_slabs_, n_tasks) : n_tasks;
  }

  // Rounds the sums of 16-bit gradients and of the bias, classes first ... end - 1.
  void store_weight_gradient(int64_t first, int64_t end) {
    const int64_t D = call_.n_features, size = s_.block_classes;
    if (m_.weight_sums)
      parallel((end - first + size - 1) / size, call_.threads, [&](int64_t b) {
        const int64_t from = b * size, count = least(size, end - first - from);
        store_rounded(m_.weight_sums + from * D, count * D, call_.weight.element, call_.weight_gradient,
                      (first + from) * D);
      });
    for (int64_t c = first; c < end && call_.bias_gradient; ++c) {
      const Real sum = Real(m_.bias_sums[c - first]);
      store_rounded(&sum, 1, call_.weight.element, call_.bias_gradient, c);
    }
  }

  // Sums the slabs into the gradient of the features.
  void store_features_gradient(bool add) {
    const int64_t D = call_.n_features, slab = s_.chunk_rows * D;
    parallel((m_.active.count + 15) / 16, call_.threads, [&](int64_t task) {
      for (int64_t r = task * 16; r < least(task * 16 + 16, m_.active.count); ++r) {
        Real* const sum = m_.slabs + r * D;
        const int64_t at = m_.active.row[r] * D;
        for (int64_t i = 1; i < n_used_slabs_; ++i)
          for (int64_t d = 0; d < D; ++d) sum[d] += sum[i * slab + d];
        const Real* const before = static_cast<const Real*>(call_.features_gradient) + at;  // `add` only where wide
        for (int64_t d = 0; d < D && add; ++d) sum[d] += before[d];
        store_rounded(sum, D, call_.features.element, call_.features_gradient, at);
      }
    });
  }

 private:
  bool find_scratch(ChunkScratch<Real>& t) {
    void* const memory = scratch(0, scratch_bytes_);
    Pieces pieces(memory);
    t = chunk_scratch<Real>(call_, s_, pieces);
    if (!memory) has_no_memory_ = true;
    return memory != nullptr;
  }

  // Rows first ... end - 1 that are not among the active ones from `known` on: loss and gradient are 0.
  void clear_absent(int64_t first, int64_t end, int64_t known) {
    for (int64_t i = first; i < end; ++i) {
      if (known < m_.active.count && m_.active.row[known] == i) {
        ++known;
        continue;
      }
      if (call_.losses) call_.losses[i] = 0.0;
      const int64_t bytes = call_.n_features * size_of(call_.features.element);
      if (call_.features_gradient) memset(static_cast<char*>(call_.features_gradient) + i * bytes, 0, size_t(bytes));
    }
  }

  BlockState state_of(int64_t block, int64_t block_of_tile) const {
    BlockState s = m_.blocks;
    double** const all[] = {&s.maximum, &s.rest, &s.spread, &s.mean, &s.mass, &s.centre, &s.deviation};
    for (double** each : all)
      if (*each) *each += block * s_.chunk_rows;
    s.maximum = m_.all_maxima + block_of_tile * s_.chunk_rows;
    return s;
  }

  const Real* bias_of(const Matrix& bias, const LogitBlock<Real>& block, Real* out) const {
    if (!bias.data) return nullptr;
    copy_of_row(bias, 0, block.first_class, block.n_classes, out);
    return out;
  }

  // Rows of the weight where they lie, else copied.
  Left<Real> rows_of(const ChunkScratch<Real>& t, const Matrix& weight, const LogitBlock<Real>& block) const {
    if (has_plain_rows<Real>(weight))
      return {plain_row<Real>(weight, block.first_class), weight.row / int64_t(sizeof(Real)), 1};
    for (int64_t c = 0; c < block.n_classes; ++c)
      copy_of_row(weight, block.first_class + c, 0, call_.n_features, t.rows + c * s_.features_step);
    return {t.rows, s_.features_step, 1};
  }

  void multiply(const ChunkScratch<Real>& t, const Matrix& weight, const LogitBlock<Real>& block) const {
    constexpr int64_t width = panel_width<Real>;
    matmul<Real>(block.n_classes, n_rows_, call_.n_features, rows_of(t, weight, block),
                 {m_.transposed, width * s_.features_step, width}, block.logits, block.step, false, true);
  }

  void make_logits(const ChunkScratch<Real>& t, const LogitBlock<Real>& block, double* maximum) const {
    Real bias[most_block];
    multiply(t, call_.weight, block);
    add_bias_and_find_maximum(block, bias_of(call_.bias, block, bias), maximum);
    pick_targets(block, m_.active, m_.rows.target_logit);
  }

  void make_states(const ChunkScratch<Real>& t, const LogitBlock<Real>& block, const Real* tangents,
                   const BlockState& state) const {
    make_logits(t, block, state.maximum);
    if (!call_.indices) copy_shares(call_, m_.active, block, t.shares);
    if (state.spread || state.mean) sum_differences(block, call_.indices ? nullptr : t.shares, state);
    exponentiate(block, tangents, state);
  }

  const Real* make_tangents(const ChunkScratch<Real>& t, LogitBlock<Real> block, Real* out) const {
    block.logits = out;
    multiply(t, call_.weight_tangent, block);
    Real bias[most_block];
    if (bias_of(call_.bias_tangent, block, bias))
      for (int64_t c = 0; c < block.n_classes; ++c)
        for (int64_t r = 0; r < n_rows_; ++r) out[c * block.step + r] += bias[c];
    return out;
  }

  void make_block_gradient(const ChunkScratch<Real>& t, const LogitBlock<Real>& block, int64_t place,
                           const double* maximum) {
    if (s_.n_logits > 1)
      make_product(block, maximum, m_.logits[1] + place * s_.chunk_rows, m_.active, m_.rows, t.gradient);
    else {
      if (!call_.indices) copy_shares(call_, m_.active, block, t.shares);
      make_gradient(call_, block, maximum, call_.indices ? nullptr : t.shares, m_.active, m_.rows, t.gradient);
    }
  }

  void add_weight_gradient(const ChunkScratch<Real>& t, const LogitBlock<Real>& block, int64_t place, bool add) {
    constexpr int64_t width = panel_width<Real>;
    const int64_t D = call_.n_features;
    for (int64_t c = 0; c < block.n_classes && call_.bias_gradient; ++c) {
      const double sum = sum_over_rows(t.gradient + c * block.step, n_rows_);
      m_.bias_sums[place + c] = add ? m_.bias_sums[place + c] + sum : sum;
    }
    if (!call_.weight_gradient) return;
    Real* const out =
        m_.weight_sums ? m_.weight_sums + place * D : static_cast<Real*>(call_.weight_gradient) + block.first_class * D;
    matmul<Real>(block.n_classes, D, m_.active.count, {t.gradient, block.step, 1},
                 {m_.features, rounded_up(s_.chunk_rows, pack_rows) * width, width}, out, D, add);
  }

  void add_features_gradient(const ChunkScratch<Real>& t, const LogitBlock<Real>& block, int64_t slab, bool add) {
    constexpr int64_t width = panel_width<Real>;
    const int64_t D = call_.n_features;
    const Left<Real> weight = rows_of(t, call_.weight, block);
    Real* const out = m_.slabs + slab * s_.chunk_rows * D;
    const int64_t panel = s_.block_classes * width;
    for (int64_t c = 0; c < block.n_classes; ++c)  // row by row, as they lie in memory
      pack(weight.data + c * weight.row, weight.row, 1, D, t.panels + c * width, panel);
    matmul<Real>(m_.active.count, D, block.n_classes, {t.gradient, 1, block.step}, {t.panels, panel, width}, out, D,
                 add);
  }

  const LinearLoss& call_;
  const ChunkSizes& s_;
  ChunkMemory<Real> m_;
  int64_t scratch_bytes_ = 0, n_rows_ = 0, n_used_slabs_ = 0;
  volatile bool has_no_memory_ = false;
};

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
