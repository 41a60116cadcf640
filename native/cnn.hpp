// The convolutional network: image, one or two stages (convolution, 2 x 2 maximum, relu), up to two hidden layers,
// logits. A `Network` of network_step.hpp: cnn_network() fills it from what the user wants.
#pragma once

#include <cstdint>

#include "network_step.hpp"
#include "targets.hpp"

namespace softclass {

constexpr int most_stages = 2, most_dense = 3, most_pixel_channels = 4;
constexpr int most_maps = 1024;    // of a stage
constexpr int panel_channels = 32;  // outputs of a stage whose weights are packed side by side
constexpr int64_t dense_room_inputs = 48;  // dense_back_inputs of dense_tiles.hpp
constexpr int most_narrow = 12;  // classes of a head whose weights are (class, feature)

// What is wanted, in logical sizes.
struct CnnStageOptions {
  int outputs;                   // M, 1 ... most_maps
  int kernel;                    // 3 or 5
  int top, left, bottom, right;  // zeros around its input, in normalised units
};
struct CnnOptions {
  int height, width, channels;
  float subtract[most_pixel_channels], multiply[most_pixel_channels];  // a pixel is (u - subtract) multiply, in float
  int n_stages;
  CnnStageOptions stages[most_stages];
  int n_hidden;
  int hidden[most_dense - 1];
  double dropout[most_dense];  // before dense layer 1, 2, ...; 0: there is none, nor a mask of it in LaneCall
  int n_classes;
};

// A stage as the kernels see it. Channels and outputs are stored sizes, multiples of 16 but for the channels of pixels.
struct CnnStage {
  int kernel, channels, outputs, real_outputs;
  int in_height, in_width;  // of its input, zeros around it included
  int in_row;               // floats of a row of it
  int pooled_height, pooled_width;
  int out_row;              // floats from a row of its map to the next: the zeros of the next stage lie between
  int64_t out_first;        // floats before the first inner position of its map
  int64_t out_size;         // floats of the map, zeros around it included
  int64_t windows;
  int64_t weight, bias;     // places in the parameters
  int64_t panels;           // of the packed weights in what is derived
};

// Weights are (outputs, inputs) if it is narrow, else (inputs, outputs).
struct CnnDense {
  int64_t inputs, outputs, real_inputs, real_outputs;  // stored and logical
  bool is_narrow, is_last;
  bool is_large;  // its weights are as large as the second cache
  int64_t weight, bias;
  double dropout;        // before it
  int mask;              // which of the masks; -1: none
};

// Places, in bytes, in the workspace of a lane; `rows` is the most that go through at once.
struct CnnRoom {
  int64_t rows;
  int64_t images, maps[most_stages], winners[most_stages], keep;
  int64_t hidden[most_dense - 1], logits, deltas, loss;
  int64_t delta_step;  // floats of the gradient of one hidden layer
  int64_t products;  // what the products of wide layers want
  int64_t pairs, map_gradient, winner_channels, winner_places, winner_gradients, starts, sorted;
};

struct CnnShape {
  int height, width, channels, n_classes;
  int top, left;  // zeros around the image
  float subtract[most_pixel_channels], multiply[most_pixel_channels];
  int n_stages, n_dense;
  CnnStage stages[most_stages];
  CnnDense dense[most_dense];
  int64_t features, real_features;  // of the flattened map, stored and logical
  CnnRoom room;
  NetworkTensor tensors[2 * (most_stages + most_dense)];
};

// Fills both from the options; `network` points into `shape`, which must stay where it is. False: outside the bounds
// above or of the grammar (a pooled side below 1).
bool cnn_network(const CnnOptions& options, CnnShape* shape, Network* network) noexcept;

SOFTCLASS_TABLES(NetworkKernels, cnn_kernels)

}  // namespace softclass
