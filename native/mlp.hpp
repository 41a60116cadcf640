// The fully connected network: columns of a table, one to four hidden layers, logits. A `Network` of network_step.hpp.
//
// Inputs, in order: numbers; three sums of waves a number; embedded columns; one indicator a code of the other category
// columns. The indicators are never made: a code adds its row of the first weight. Weights lie (inputs, outputs), the
// outputs padded to a multiple of 16; rows lie `step` floats apart, which is never a multiple of 512 bytes: in those, a
// tile's columns would fall into few sets of the first cache (166 instead of 178 GFLOP/s at a width of 256).
#pragma once

#include <cstdint>

#include "network_step.hpp"
#include "targets.hpp"

namespace softclass {

constexpr int most_mlp_layers = 5;
constexpr int64_t mlp_part_inputs = 32;
constexpr int waves = 16, wave_sums = 3;  // of a number

enum class MlpActivation { relu, tanh, sigmoid, selu };

struct MlpLayer {
  int64_t inputs, outputs;
  int64_t dense;              // inputs that are no indicators, the first ones
  int64_t width, step;        // outputs, padded; of rows of outputs
  int64_t weight, bias;       // places in the parameters
  int64_t transposed;         // place in what is derived of (outputs, in_step); -1: not needed
  int64_t in_width, in_step;  // inputs whose gradient is wanted, padded; of rows of them
  float factor;        // 1 / sqrt(inputs) in the neural tangent parametrisation, before the bias; else 1
  double dropout;      // of its inputs
  int mask;            // which of the masks; -1: no dropout
  int64_t first_part;  // of what is refreshed: blocks of mlp_part_inputs inputs, transposed
};

// A category column.
struct MlpColumn {
  int64_t codes;
  int64_t input;  // its first one
  int64_t table;  // place of its embedding in the parameters; -1: indicators
};

struct MlpShape {
  int64_t numbers;
  int64_t n_columns;
  const MlpColumn* columns;
  int64_t embedding_width, embedding_step;  // floats of a code, and padded
  bool has_waves, has_scale;
  int64_t frequency, phase, wave_weight, wave_bias, wave_bias_step, scale;  // places
  int64_t dense;                    // inputs that are no indicators
  int64_t dense_width, dense_step;  // padded; of rows of them
  int n_layers;
  MlpLayer layers[most_mlp_layers];
  MlpActivation activation;
  bool is_ntk;
  int64_t n_classes;
  // Workspace: places in bytes, for `rows` rows at a time.
  int64_t rows;
  int64_t codes, inputs, scaled, cosines, sines, hidden[most_mlp_layers], dropped[most_mlp_layers],
      masks[most_mlp_layers], deltas[2], loss;
};

SOFTCLASS_TABLES(NetworkKernels, mlp_kernels)

}  // namespace softclass
