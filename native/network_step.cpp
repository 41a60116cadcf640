#include "network_step.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "network_update.hpp"
#include "threads.hpp"

namespace softclass {
namespace {

constexpr int64_t most_lanes = 16, fewest_lane_rows = 16;
constexpr double lane_multiplications = 8e6;
constexpr int64_t update_floats = 4096;         // of a task of the update
constexpr int64_t serial_floats = int64_t(1) << 16;  // updated, lanes counted, before another thread wakes

// Parameters that are updated together.
struct Block {
  int64_t begin, size;
  float rate_factor;
  bool decays;
  bool is_late;
  int64_t part;  // of what is derived, made of them alone; -1: none
};

// Floats of a block of the late weight: whole inputs of it, as many as fill the rows of a register tile.
int64_t late_floats(const Network& network) {
  return std::clamp(update_floats / network.late_outputs / 8 * 8, int64_t(8), most_late_inputs) * network.late_outputs;
}

bool is_late(const Network& network, const NetworkTensor& tensor) {
  return network.late_inputs && tensor.offset == network.late_begin;
}

std::vector<Block> blocks_of(const Network& network) {
  std::vector<Block> blocks;
  for (const NetworkTensor* t = network.tensors; t < network.tensors + network.n_tensors; ++t) {
    const bool late = is_late(network, *t);
    const int64_t most = late ? late_floats(network) : (t->at_once > 0 ? t->at_once : update_floats);
    for (int64_t b = 0, done = 0; done < t->size; ++b, done += most)
      blocks.push_back({t->offset + done, std::min(most, t->size - done), t->rate_factor, t->decays, late,
                        b < t->n_refreshed ? t->refresh_begin + b : -1});
  }
  return blocks;
}

// What an update goes through; made once a run.
struct Update {
  explicit Update(const Network& network) : blocks(blocks_of(network)), squares(blocks.size()) {
    std::vector<bool> is_made(size_t(network.n_refresh_parts));
    for (const Block& block : blocks)
      if (block.part >= 0) is_made[size_t(block.part)] = true;
    for (int64_t part = 0; part < network.n_refresh_parts; ++part)
      if (!is_made[size_t(part)]) parts.push_back(part);
  }

  std::vector<Block> blocks;
  std::vector<int64_t> parts;  // of what is derived that no block makes
  std::vector<double> squares;
};

int update_threads(const Network& network, int64_t n_lanes, int threads) {
  return network.n_parameters * n_lanes < serial_floats ? 1 : threads;
}

// The rows of a batch, lane by lane.
struct Batch {
  const Network& network;
  LaneCall call;  // of all rows; what differs from lane to lane is set there
  int64_t n_lanes;
  float* lane_gradients;

  // Gradients of all lanes of a late block, one after the other.
  void late(int64_t begin, int64_t size, float* gradients) const noexcept {
    std::memset(gradients, 0, size_t(n_lanes * size) * sizeof(float));
    for (int64_t lane = 0; lane < n_lanes; ++lane) {
      const int64_t from = call.count * lane / n_lanes, end = call.count * (lane + 1) / n_lanes;
      network.kernels().add_late(network.shape, call.late_inputs + from * network.late_inputs,
                                 call.late_deltas + from * network.late_outputs, end - from, begin, size,
                                 gradients + lane * size);
    }
  }

  // Adds up the sums of the lanes in order. False: no memory.
  bool run(int threads, LaneSums* sums) const noexcept {
    LaneSums each[most_lanes] = {};
    std::atomic<bool> is_well{true};
    const int64_t failures = scratch_failures();
    parallel_near(n_lanes, threads, [&](int64_t lane) {
      LaneCall mine = call;
      const int64_t begin = call.count * lane / n_lanes, end = call.count * (lane + 1) / n_lanes;
      mine.indices = call.indices + begin;
      mine.count = end - begin;
      mine.first = begin;
      mine.gradient = lane_gradients + lane * network.n_parameters;
      mine.workspace = scratch(2, network.workspace_bytes);
      for (const NetworkTensor* t = network.tensors; t < network.tensors + network.n_tensors; ++t)
        if (mine.count == 0 || !(t->is_written || (call.late_inputs && is_late(network, *t))))
          std::memset(mine.gradient + t->offset, 0, size_t(t->size) * sizeof(float));
      if (!mine.workspace)
        is_well = false;
      else if (mine.count > 0)
        network.kernels().lane(network.shape, mine, &each[lane]);
    });
    for (int64_t lane = 0; lane < n_lanes; ++lane) {
      sums->loss += each[lane].loss;
      sums->weight += each[lane].weight;
      sums->correct += each[lane].correct;
    }
    return is_well && failures == scratch_failures();
  }
};

// A power that has shrunk to nothing is 0: no subnormal number, whose bits would hang on the caller's arithmetic.
double next_power(double power, double beta) {
  const double next = power * beta;
  return next < 1e-300 ? 0.0 : next;
}

// Multiples of 2^-24, whose sums are exact: the sums of an epoch do not hang on where its runs were cut.
double rounded(double x) { return std::nearbyint(x * 0x1p24) * 0x1p-24; }

// Returns false if there was no memory; the norm of the gradient is in `norm`.
bool update(const Batch& batch, const TrainingPlan& plan, int64_t step, int threads, Update* to_do, double* norm,
            TrainingState* state) noexcept {
  const Network& network = batch.network;
  state->n_updates += 1;
  state->beta1_power = next_power(state->beta1_power, plan.beta1);
  state->beta2_power = next_power(state->beta2_power, plan.beta2);
  const AdamCall whole = {state->parameters, state->first_moment, state->second_moment, state->lane_gradients, 0,
                          batch.n_lanes, network.n_parameters, plan.rates[step], plan.decays[step],
                          plan.beta1, plan.beta2, plan.epsilon, state->beta1_power, state->beta2_power};
  const UpdateKernels& kernels = chosen_update_kernels();
  const int some = update_threads(network, batch.n_lanes, threads);
  std::atomic<bool> is_well{true};
  parallel_near(int64_t(to_do->blocks.size()), some, [&](int64_t b) {
    const Block& block = to_do->blocks[size_t(b)];
    AdamCall call = whole;
    call.rate *= double(block.rate_factor);
    if (!block.decays) call.decay = 0.0;
    if (block.is_late) {
      call.lanes = static_cast<float*>(scratch(2, batch.n_lanes * block.size * int64_t(sizeof(float))));
      call.lanes_begin = block.begin;
      call.lane_step = block.size;
      if (!call.lanes) {
        is_well = false;
        return;
      }
      batch.late(block.begin, block.size, call.lanes);
    }
    to_do->squares[size_t(b)] = kernels.adamw(call, block.begin, block.size);
    if (block.part >= 0) network.kernels().refresh(network.shape, state->parameters, state->derived, block.part);
  });
  parallel_near(int64_t(to_do->parts.size()), some, [&](int64_t i) {
    network.kernels().refresh(network.shape, state->parameters, state->derived, to_do->parts[size_t(i)]);
  });
  double sum = 0.0;
  for (const double square : to_do->squares) sum += square;
  *norm = std::sqrt(sum);
  return is_well;
}

TrainingReport train_steps(const Network& network, const NetworkRows& rows, const int64_t* order, int64_t n_order,
                           int64_t first_step, int64_t last_step, const TrainingPlan& plan, double seconds, int threads,
                           TrainingState* state) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  Update to_do(network);
  std::unique_ptr<float[]> late_inputs, late_deltas;
  if (network.late_inputs > 0) {
    const int64_t most = std::min(plan.batch_size, n_order);
    late_inputs.reset(new float[size_t(most * network.late_inputs)]);
    late_deltas.reset(new float[size_t(most * network.late_outputs)]);
  }
  TrainingReport report = {first_step, 0.0, 0.0, 0.0, 0.0, true, false};
  const int64_t n_lanes = lanes_of_step(network, plan.batch_size);
  for (int64_t step = first_step; step < last_step; ++step) {
    const int64_t from = step * plan.batch_size, count = std::min(plan.batch_size, n_order - from);
    LaneCall call = {};
    call.parameters = state->parameters;
    call.derived = state->derived;
    call.rows = &rows;
    call.indices = order + from;
    call.count = count;
    call.micro_rows = plan.micro_rows;
    call.divisor = double(count);
    call.label_smoothing = plan.label_smoothing;
    call.is_training = true;
    call.seed = plan.seed;
    call.epoch = plan.epoch;
    call.dropout_factor = plan.dropout_factors[step - first_step];
    call.flips = plan.flips;
    call.shift = plan.shift;
    call.unknown_codes = plan.unknown_codes;
    LaneSums sums = {};
    call.late_inputs = late_inputs.get();
    call.late_deltas = late_deltas.get();
    const Batch batch = {network, call, n_lanes, state->lane_gradients};
    const bool is_well = batch.run(threads, &sums);
    report.out_of_memory = !is_well;
    report.is_finite = std::isfinite(sums.loss);
    if (!is_well || !report.is_finite) return report;
    double norm = 0.0;
    report.out_of_memory = !update(batch, plan, step - first_step, threads, &to_do, &norm, state);
    if (report.out_of_memory) return report;
    report.is_finite = std::isfinite(norm);
    if (!report.is_finite) return report;
    report.gradient_norm = std::max(report.gradient_norm, norm);
    report.loss += rounded(sums.loss);
    report.weight += rounded(sums.weight);
    report.correct += rounded(sums.correct);
    report.last_step = step + 1;
    if (std::chrono::duration<double>(Clock::now() - begin).count() >= seconds) return report;
  }
  return report;
}

}  // namespace

int64_t lanes_of_step(const Network& network, int64_t batch_size) noexcept {
  const double wanted = double(batch_size) * double(network.multiplications) / lane_multiplications;
  const int64_t least = network.lane_rows > 0 ? std::clamp(batch_size / network.lane_rows, int64_t(2), int64_t(4)) : 1;
  const int64_t fitting = std::max(least, network.lane_floats / network.n_parameters);
  const int64_t most = std::min({most_lanes, batch_size / fewest_lane_rows, fitting});
  int64_t lanes = 1;
  while (2 * lanes <= most && 2.0 * double(lanes) <= wanted) lanes *= 2;
  return lanes;
}

TrainingReport train(const Network& network, const NetworkRows& rows, const int64_t* order, int64_t n_order,
                     int64_t first_step, int64_t last_step, const TrainingPlan& plan, double seconds, int threads,
                     TrainingState* state) noexcept {
  try {
    return train_steps(network, rows, order, n_order, first_step, last_step, plan, seconds, threads, state);
  } catch (const std::bad_alloc&) {
    return {first_step, 0.0, 0.0, 0.0, 0.0, true, true};
  }
}

bool network_logits(const Network& network, const float* parameters, const float* derived, const NetworkRows& rows,
                    const int64_t* indices, int64_t count, int threads, float* logits) noexcept {
  const int64_t rows_a_task = std::clamp(
      int64_t(lane_multiplications) / std::max<int64_t>(network.multiplications, 1), int64_t(16), int64_t(1024));
  std::atomic<bool> is_well{true};
  parallel((count + rows_a_task - 1) / rows_a_task, threads, [&](int64_t task) {
    LaneCall call = {};
    call.parameters = parameters;
    call.derived = derived;
    call.rows = &rows;
    call.first = task * rows_a_task;
    call.indices = indices + call.first;
    call.count = std::min(rows_a_task, count - call.first);
    call.logits = logits + call.first * network.n_classes;
    call.divisor = 1.0;
    call.workspace = scratch(2, network.workspace_bytes);
    LaneSums none = {};
    if (call.workspace)
      network.kernels().lane(network.shape, call, &none);
    else
      is_well = false;
  });
  return is_well;
}

bool network_gradient(const Network& network, const float* parameters, const float* derived, const NetworkRows& rows,
                      const int64_t* indices, int64_t count, double label_smoothing, const uint8_t* const* masks,
                      int64_t micro_rows, int threads, float* lane_gradients, LaneSums* sums) noexcept {
  LaneCall call = {};
  call.parameters = parameters;
  call.derived = derived;
  call.rows = &rows;
  call.indices = indices;
  call.count = count;
  call.micro_rows = micro_rows;
  call.divisor = double(count);
  call.label_smoothing = label_smoothing;
  call.dropout_factor = 1.0;
  call.masks = masks;
  const int64_t n_lanes = lanes_of_step(network, count);
  const bool is_well = Batch{network, call, n_lanes, lane_gradients}.run(threads, sums);
  parallel((network.n_parameters + update_floats - 1) / update_floats, update_threads(network, n_lanes, threads),
           [&](int64_t b) {
             const int64_t begin = b * update_floats;
             chosen_update_kernels().sum(lane_gradients, n_lanes, network.n_parameters, begin,
                                         std::min(update_floats, network.n_parameters - begin));
           });
  return is_well;
}

void refresh_network(const Network& network, const float* parameters, float* derived, int threads) noexcept {
  parallel(network.n_refresh_parts, threads,
           [&](int64_t part) { network.kernels().refresh(network.shape, parameters, derived, part); });
}

}  // namespace softclass
