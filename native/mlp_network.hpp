// A fully connected network from what is wanted of it.
#pragma once

#include <vector>

#include "mlp.hpp"

namespace softclass {

struct MlpOptions {
  int64_t numbers;
  std::vector<int64_t> codes;      // how many each category column has
  std::vector<bool> is_embedded;   // of each category column
  int64_t embedding_width;
  bool has_waves, has_scale, is_ntk;
  MlpActivation activation;
  std::vector<int64_t> widths;  // of all layers, the classes last
  std::vector<double> dropout;  // of the inputs of all layers
};

class MlpNetwork {
 public:
  explicit MlpNetwork(const MlpOptions& options);  // options within the grammar of networks/architecture.py
  MlpNetwork(const MlpNetwork&) = delete;
  MlpNetwork& operator=(const MlpNetwork&) = delete;
  const Network& network() const { return network_; }

 private:
  int64_t add(const char* name, std::vector<int64_t> shape, std::vector<int64_t> stride, int64_t size,
              float rate_factor, bool decays);
  void lay_out_inputs(const MlpOptions& options);
  void lay_out_layers(const MlpOptions& options);
  void lay_out_workspace();

  MlpShape shape_ = {};
  Network network_ = {};
  std::vector<MlpColumn> columns_;
  std::vector<NetworkTensor> tensors_;
};

}  // namespace softclass
