// Many classes: the order in which chunks of rows meet tiles of classes.
//
// In one sweep where the logits of enough rows fit: chunk by chunk, states, losses and gradients. Else a first sweep
// makes losses and states; a second one takes the tiles, and for each all chunks, so that the gradient of the weights
// of a tile is written once; logits are made again, bit for bit the same. 16-bit gradients of the features then need a
// third sweep, since they are summed in float, chunk by chunk.
#pragma once

#include "linear_phases.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

template <class Real>
static int64_t chunk_bytes(const LinearLoss& call) {
  Pieces pieces(nullptr);
  chunk_memory<Real>(call, chunk_sizes<Real>(call), pieces);
  return pieces.bytes();
}

// All chunks of rows; `body` gets whether it is the first. At least one, if only to write gradients that are 0.
template <class Real, class Body>
SOFTCLASS_INLINE void for_chunks(const LinearLoss& call, ChunkPhases<Real>& phases, const Body& body) {
  bool is_first = true;
  int64_t row = 0;
  do {
    row = phases.collect(row);
    if (phases.n_active() == 0 && !is_first) continue;
    phases.pack_features();
    body(is_first);
    is_first = false;
  } while (row < call.n_rows);
}

template <class Real>
static void make_losses(const LinearLoss& call, const ChunkSizes& s, ChunkPhases<Real>& phases, double divisor) {
  const int64_t K = call.n_classes, step = blocks_of_merge * s.block_classes;
  phases.begin();
  for (int64_t c = 0; c < K; c += step) phases.add_classes(c, least(c + step, K), s.in_one_sweep && has_gradient(call));
  phases.finish(divisor);
  phases.store_losses();
}

template <class Real>
static void sweep_once(const LinearLoss& call, const ChunkSizes& s, ChunkPhases<Real>& phases, double divisor) {
  const bool wants_weight = call.weight_gradient || call.bias_gradient, wants_features = call.features_gradient;
  for_chunks(call, phases, [&](bool is_first) {
    make_losses(call, s, phases, divisor);
    if (!has_gradient(call)) return;
    phases.add_gradients(0, call.n_classes, {wants_weight, wants_features, !is_first, false, false});
    if (wants_features) phases.store_features_gradient(false);
  });
  if (wants_weight) phases.store_weight_gradient(0, call.n_classes);
}

template <class Real>
static void sweep_by_tiles(const LinearLoss& call, const ChunkSizes& s, ChunkPhases<Real>& phases, double divisor) {
  const int64_t K = call.n_classes, step = s.tile_classes;
  const bool wants_weight = call.weight_gradient || call.bias_gradient, wants_features = call.features_gradient;
  const bool features_apart = wants_features && (is_half(call) || !wants_weight);
  for_chunks(call, phases, [&](bool) {
    make_losses(call, s, phases, divisor);
    phases.keep_states();
  });
  for (int64_t c = 0; c < K && wants_weight; c += step) {
    const int64_t end = least(c + step, K);
    for_chunks(call, phases, [&](bool is_first) {
      phases.recall_states();
      phases.repeat_classes(c, end);
      phases.finish(divisor);
      phases.add_gradients(c, end, {true, wants_features && !features_apart, !is_first, false, true});
      if (wants_features && !features_apart) phases.store_features_gradient(c > 0);
    });
    phases.store_weight_gradient(c, end);
  }
  if (features_apart)
    for_chunks(call, phases, [&](bool) {
      phases.recall_states();
      for (int64_t c = 0; c < K; c += step) {
        const int64_t end = least(c + step, K);
        phases.repeat_classes(c, end);
        phases.finish(divisor);
        phases.add_gradients(c, end, {false, true, false, c > 0, true});
      }
      phases.store_features_gradient(false);
    });
}

template <class Real>
static LossSum run_chunks(const LinearLoss& call, void* memory) {
  const ChunkSizes sizes = chunk_sizes<Real>(call);
  Pieces pieces(memory);
  const ChunkMemory<Real> own = chunk_memory<Real>(call, sizes, pieces);
  LossSum total = weigh_rows(call, own.parts);
  double* const losses = own.parts + 3 * n_sums(call);
  fill(losses, n_sums(call), 0.0);
  const double divisor = call.mean ? total.weight : 1.0;
  ChunkPhases<Real> phases(call, sizes, own);
  if (sizes.in_one_sweep)
    sweep_once(call, sizes, phases, divisor);
  else
    sweep_by_tiles(call, sizes, phases, divisor);
  total.loss = sum_of_parts(losses, n_sums(call));
  total.out_of_memory = phases.has_no_memory();
  return total;
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
