// Steps of a network's training, the same for every network: lanes, their sum, AdamW.
//
// An engine (mlp, cnn) is a `Network`: where its parameters lie, how much room a thread needs, and for every target a
// table of three functions. All else is here. What an engine has to keep:
//
//   lane(shape, call, sums)   `call.count` > 0 rows, forward; then, if `call.gradient` is there, loss and backward:
//                             WRITES the gradient of sum(weight loss) / call.divisor to call.gradient (laid out like the
//                             parameters) for tensors that are `written`, ADDS it for the others, which are 0 before;
//                             row after row in order, by fma, so that the bits depend neither on call.micro_rows nor on
//                             the target; padding is left as it is. Loss, weight and hits come from
//                             network_loss (network_loss.hpp), which turns logits into their gradient in place. Without
//                             a gradient it writes call.logits, `n_classes` a row, without dropout or augmentation. It
//                             runs on one thread, calls nothing parallel, allocates nothing; its memory is
//                             call.workspace, `Network::workspace_bytes` at a multiple of 64, unknown contents.
//   add_late(shape, inputs, deltas, count, begin, size, gradient)   where a network has a late weight: adds what a lane
//                             of `count` rows has of the gradient of begin ... begin + size, which are whole inputs of
//                             it.
//   refresh(shape, parameters, derived, part)   makes part `part` of what is kept beside the parameters (transposed
//                             copies), 0 <= part < n_refresh_parts; parts may run at the same time.
//
// A step of B rows has `lanes_of_step` lanes, from B and the network alone; lane g takes the rows g n / G ... (g + 1)
// n / G of the n rows of its batch. Gradients of the lanes are added in order. So the weights are the same bytes for
// any number of threads, any target, and wherever a run is cut.
//
// Random numbers (philox.hpp) are keyed by seed, epoch, row number in the data and stream, never by place or thread.
// This header is for sources of every target: plain structures, no functions with a body.
#pragma once

#include <cstdint>

#include "targets.hpp"

namespace softclass {

// Rows of data. Null: not there. An image network has `pixels` or, for images of floats, `numbers`; a table network
// numbers, codes or both.
struct NetworkRows {
  int64_t n_rows;
  const uint8_t* pixels;   // (N, H, W, C)
  const float* numbers;    // (N, n_numbers); images: (N, H, W, C)
  const int32_t* codes;    // (N, n_codes)
  const int32_t* targets;  // (N,) class indices in range
  const float* shares;     // (N, n_classes) distributions
  const float* weights;    // (N,)
  int64_t n_numbers;       // floats of a row
  int64_t n_codes;
};

constexpr int64_t most_late_inputs = 32;  // of a block

struct LaneCall {
  const float* parameters;
  const float* derived;
  float* gradient;  // added to; null: forward only
  float* logits;    // (count, n_classes), written if not null; with a gradient too
  const NetworkRows* rows;
  const int64_t* indices;  // (count,) rows of the data
  int64_t count;
  int64_t first;         // place of the first of them in the batch: row of `masks`
  int64_t micro_rows;    // at a time; 0: as the engine likes
  double divisor;        // of the loss in the gradient
  double label_smoothing;
  bool is_training;      // dropout, augmentation and unknown codes are drawn
  uint64_t seed;
  uint32_t epoch;
  double dropout_factor;  // times the probability of every dropout layer
  bool flips;             // images: half of the rows, left to right
  int shift;              // images: moved by at most so many pixels either way
  double unknown_codes;   // tables: probability that a code becomes 1
  // For tests: one array a dropout layer, (rows of the batch, width of the layer), 1 = kept; null: none. Then the
  // layer's mask is this one whatever is_training says.
  const uint8_t* const* masks;
  // Of all rows of the batch, place `first` for the first of this lane: what comes into the late weight, and the
  // gradient of what comes out. The lane writes both and leaves that weight alone. Null: nothing is late.
  float* late_inputs;
  float* late_deltas;
  void* workspace;
};

// Added to.
struct LaneSums {
  double loss;     // sum of weight times loss
  double weight;
  double correct;  // weight of the rows whose largest logit, the first of equals, is that of the largest target share
};

// Of one target.
struct NetworkKernels {
  void (*lane)(const void* shape, const LaneCall& call, LaneSums* sums);
  void (*refresh)(const void* shape, const float* parameters, float* derived, int64_t part);
  void (*add_late)(const void* shape, const float* inputs, const float* deltas, int64_t count, int64_t begin,
                   int64_t size, float* gradient) = nullptr;  // null: no network of the engine has a late weight
};

// A tensor: element (i0, i1, ...) at offset + i0 stride[0] + i1 stride[1] + ... of the buffer of parameters. `size`
// floats from `offset` belong to it, padding included, both multiples of 16; padding is 0 and stays 0. Axes in logical
// order: stage weights (r, r, C, M), dense weights (out, in) where `in` may be several axes, biases (out,).
struct NetworkTensor {
  char name[32];  // "stage1.weight", "stage1.bias", ..., "dense1.weight", ...
  int n_axes;
  int64_t shape[4];
  int64_t stride[4];
  int64_t offset;
  int64_t size;
  float rate_factor;  // times the rate
  bool decays;
  bool is_written;     // a lane writes its gradient instead of adding to it
  int64_t at_once;     // floats that are updated together, a multiple of 16; 0: any number
  int64_t n_refreshed;  // the first so many of these blocks have a part, from refresh_begin on, of what is derived
  int64_t refresh_begin;
};

struct Network {
  const void* shape;                           // what the engine's functions are handed
  const NetworkKernels& (*kernels)() noexcept;  // of the target that runs: chosen_mlp_kernels, ...
  const NetworkTensor* tensors;                // in the order of their offsets, which follow each other without a gap
  int n_tensors;
  int64_t n_parameters;  // floats of the buffer
  int64_t n_derived;     // floats kept beside it, at a multiple of 64 bytes
  int64_t n_refresh_parts;
  int64_t n_classes;
  int64_t multiplications;  // of a row, forward
  int64_t workspace_bytes;  // of a lane of any size
  // A tensor, a large weight (late_inputs, late_outputs) that begins at late_begin: its gradient comes after the lanes,
  // in blocks that are used up at once. late_inputs 0: there is none.
  int64_t late_inputs, late_outputs, late_begin;
  int64_t lane_floats;  // that the gradients of all lanes may take together
  int64_t lane_rows;    // so many are worth two to four lanes however large the network is; 0: none are
};

// What a run works on; all float arrays begin at a multiple of 64 bytes.
struct TrainingState {
  float* parameters;
  float* first_moment;
  float* second_moment;
  float* lane_gradients;  // n_lanes x n_parameters; padding is zero
  float* derived;
  int64_t n_updates;
  double beta1_power, beta2_power;  // beta^n_updates
};

struct TrainingPlan {
  int64_t batch_size;
  double beta1, beta2, epsilon;
  const double* rates;            // of the steps from first_step on: one each
  const double* decays;
  const double* dropout_factors;
  double label_smoothing;
  uint64_t seed;
  uint32_t epoch;
  bool flips;
  int shift;
  double unknown_codes;
  int64_t micro_rows;  // 0: as the engine likes
};

struct TrainingReport {
  int64_t last_step;     // the steps before it are done
  double loss, weight, correct;  // sums over the steps, each a multiple of 2^-24, so that sums of reports are exact
  double gradient_norm;  // the largest of the steps
  bool is_finite;        // else step last_step met a loss, or a gradient, that is none; of a loss nothing was updated
  bool out_of_memory;
};

// Lanes of a step of `batch_size` rows.
int64_t lanes_of_step(const Network& network, int64_t batch_size) noexcept;

// Steps first_step ... of the epoch whose rows are `order`: step s takes the rows from s batch_size on. Ends before
// last_step if `seconds` have passed after a step.
TrainingReport train(const Network& network, const NetworkRows& rows, const int64_t* order, int64_t n_order,
                     int64_t first_step, int64_t last_step, const TrainingPlan& plan, double seconds, int threads,
                     TrainingState* state) noexcept;

// Logits of rows, (count, n_classes). False: no memory.
bool network_logits(const Network& network, const float* parameters, const float* derived, const NetworkRows& rows,
                    const int64_t* indices, int64_t count, int threads, float* logits) noexcept;

// Loss and gradient of rows as one batch: mean over the rows of weight times loss. `lane_gradients` as in
// TrainingState; lane 0 holds the sum afterwards.
bool network_gradient(const Network& network, const float* parameters, const float* derived, const NetworkRows& rows,
                      const int64_t* indices, int64_t count, double label_smoothing, const uint8_t* const* masks,
                      int64_t micro_rows, int threads, float* lane_gradients, LaneSums* sums) noexcept;

// All parts of `derived`.
void refresh_network(const Network& network, const float* parameters, float* derived, int threads) noexcept;

}  // namespace softclass
