// Every kernel of every target on small arrays of many shapes and layouts: the same bits as plain, and under the address
// sanitizer nothing outside the arrays is touched. Values are judged by the Python tests.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "cross_entropy.hpp"
#include "linear_cross_entropy.hpp"
#include "softmax.hpp"

using namespace softclass;

namespace {

int failures = 0;
int64_t compared = 0;
std::mt19937_64 source(7);

double uniform() { return double(source() >> 11) * 0x1p-53; }
int64_t below(int64_t n) { return int64_t(source() % uint64_t(n)); }

// A number of the type as its bytes; halves are made from their top bits.
void put(char* p, Element element, double x) {
  const float f = float(x);
  uint32_t bits;
  std::memcpy(&bits, &f, 4);
  const uint16_t bfloat = uint16_t(bits >> 16), zero = 0;
  switch (element) {
    case Element::float64: std::memcpy(p, &x, 8); break;
    case Element::float32: std::memcpy(p, &f, 4); break;
    case Element::bfloat16: std::memcpy(p, &bfloat, 2); break;
    case Element::float16: {
      // Whole numbers from -31 to 31 in steps of 1/32 have 10 bits: sign, exponent and fraction straight from the float.
      const float g = std::nearbyint(f * 32.0f) / 32.0f;
      std::memcpy(&bits, &g, 4);
      const uint16_t half = g == 0 ? zero : uint16_t((bits >> 16 & 0x8000) | ((bits >> 13) - (112 << 10) & 0x7fff));
      std::memcpy(p, &half, 2);
      break;
    }
    default: *p = char(x != 0);
  }
}

double logit() {
  const int64_t kind = below(200);
  if (kind == 0) return NAN;
  if (kind == 1) return INFINITY;
  if (kind < 6) return -INFINITY;
  return (uniform() - 0.5) * 24.0;
}

// n x k numbers with room of its own: rows `row` elements apart, classes `column` elements apart.
struct Array {
  Element element;
  int64_t n, k, row, column;
  std::vector<char> bytes;
  char* data() { return bytes.data(); }

  Array(Element e, int64_t n_, int64_t k_, bool is_transposed, int64_t gap) : element(e), n(n_), k(k_) {
    row = is_transposed ? 1 : k * gap;
    column = is_transposed ? n : gap;
    const int64_t elements = n * k == 0 ? 0 : (n - 1) * row + (k - 1) * column + 1;
    bytes.assign(size_t(elements * size_of(e)), 0x55);
  }
  char* at(int64_t i, int64_t j) { return data() + (i * row + j * column) * size_of(element); }
  template <class Make>
  void fill(const Make& make) {
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < k; ++j) put(at(i, j), element, make());
  }
  Strided strided() {
    Strided s{data(), element, {}};
    s.strides[0] = row * size_of(element);
    s.strides[1] = column * size_of(element);
    return s;
  }
};

void lay_out_rows(Array& like, const std::vector<Array*>& arrays, bool in_order, Layout* layout) {
  const int64_t shape[2] = {like.n, like.k};
  const bool is_class[2] = {false, true};
  std::vector<Strided> operands;
  for (Array* array : arrays) {
    operands.push_back(array->strided());
    if (array->k == 1 && like.k != 1) operands.back().strides[1] = 0;  // a number a row
  }
  lay_out(2, shape, is_class, operands.data(), int(operands.size()), in_order, layout);
}

// The sign of a NaN is no part of a result: which operand it comes from is the instruction's choice.
void clear_nan_signs(Element element, char* p, size_t bytes) {
  const size_t size = size_t(size_of(element));
  for (size_t i = 0; i < bytes / size; ++i) {
    uint64_t bits = 0;
    std::memcpy(&bits, p + i * size, size);
    const uint64_t sign = uint64_t(1) << (8 * size - 1), magnitude = bits & (sign - 1);
    const uint64_t infinity = element == Element::float64    ? uint64_t(0x7ff) << 52
                              : element == Element::float32  ? 0x7f800000
                              : element == Element::bfloat16 ? 0x7f80
                                                             : 0x7c00;
    if (magnitude > infinity) std::memcpy(p + i * size, &magnitude, size);
  }
}

void compare(const std::vector<char>& expected, const std::vector<char>& found, const char* what, const char* target,
             int64_t n, int64_t k, int variant) {
  ++compared;
  if (expected == found) return;
  if (++failures < 20)
    std::printf("%s on %s differs from plain: %lld rows of %lld classes, variant %d\n", what, target, (long long)n,
                (long long)k, variant);
}

template <class Run>
void on_each_target(const Run& run) {
  for (int t = n_targets - 1; t >= 0; --t)
    if (set_target(Target(t))) run(name_of(Target(t)));
}

const Element elements[] = {Element::float32, Element::float64, Element::float16, Element::bfloat16};

void test_softmax(int64_t n, int64_t k, Element element, int variant) {
  const bool is_transposed = variant & 1, has_where = variant & 2, is_tempered = variant & 4;
  Array logits(element, n, k, is_transposed, variant & 8 ? 2 : 1), where(Element::boolean, n, k, false, 1);
  logits.fill(logit);
  where.fill([] { return double(below(4) != 0); });
  for (Output output : {Output::probabilities, Output::log_probabilities, Output::log_partition}) {
    const bool is_value = output == Output::log_partition;
    const Element of_value = element == Element::float64 ? Element::float64 : Element::float32;
    std::vector<std::vector<char>> found;
    std::vector<const char*> names;
    on_each_target([&](const char* name) {
      Array out(is_value ? of_value : element, n, is_value ? 1 : k, is_transposed && !is_value, 1);
      SoftmaxJob job{output, is_tempered && !is_value ? 0.7 : 1.0, 2, has_where, {}};
      lay_out_rows(logits, {&logits, &out, &where}, false, &job.layout);
      job.layout.n_operands = 2 + has_where;
      chosen_softmax_kernels().softmax(job);
      found.push_back(out.bytes);
      names.push_back(name);
    });
    for (size_t t = 0; t + 1 < found.size(); ++t)
      compare(found.back(), found[t], is_value ? "logsumexp" : "softmax", names[t], n, k, variant);
  }
}

void test_vjp(int64_t n, int64_t k, Element element, int variant) {
  Array p(element, n, k, variant & 1, 1), g(element, n, k, variant & 2, 1);
  p.fill(uniform);
  g.fill([] { return uniform() - 0.5; });
  std::vector<std::vector<char>> found;
  std::vector<const char*> names;
  on_each_target([&](const char* name) {
    Array out(element, n, k, variant & 4, 1);
    VjpJob job{0.5, 2, {}};
    lay_out_rows(p, {&p, &g, &out}, false, &job.layout);
    chosen_softmax_kernels().softmax_vjp(job);
    found.push_back(out.bytes);
    names.push_back(name);
  });
  for (size_t t = 0; t + 1 < found.size(); ++t) compare(found.back(), found[t], "vjp", names[t], n, k, variant);
}

template <class T>
std::vector<char> bytes_of(const std::vector<T>& values) {
  std::vector<char> bytes(values.size() * sizeof(T));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// Targets with some that are none, weights with some zeros.
struct RowFacts {
  std::vector<int64_t> targets;
  std::vector<double> sample_weight, class_weight;
  RowFacts(int64_t n, int64_t k) {
    for (int64_t i = 0; i < n; ++i) {
      targets.push_back(below(40) == 0 ? (below(2) ? -100 : k + 5) : below(k));
      sample_weight.push_back(below(5) == 0 ? 0.0 : uniform() + 0.5);
    }
    for (int64_t j = 0; j < k; ++j) class_weight.push_back(below(9) == 0 ? 0.0 : uniform() + 0.5);
  }
};

void test_cross_entropy(int64_t n, int64_t k, Element element, int variant) {
  const bool has_shares = variant & 4, is_weighted = variant & 2;
  Array logits(element, n, k, variant & 1, 1), shares(element, n, k, false, 1);
  logits.fill(logit);
  shares.fill([k] { return 1.0 / double(k); });
  const RowFacts facts(n, k);
  std::vector<std::vector<char>> found;
  std::vector<const char*> names;
  on_each_target([&](const char* name) {
    Array gradient(element, n, k, variant & 1, 1);
    std::vector<double> losses(size_t(n), 3.0), states(size_t(2 * n), 3.0);
    CrossEntropy call{};
    lay_out_rows(logits, {&logits, &gradient, has_shares ? &shares : &logits}, true, &call.layout);
    call.has_gradient = true;
    call.has_shares = has_shares;
    call.targets = has_shares ? nullptr : facts.targets.data();
    call.sample_weight = is_weighted ? facts.sample_weight.data() : nullptr;
    call.class_weight = is_weighted ? facts.class_weight.data() : nullptr;
    call.has_ignored = !has_shares;
    call.ignored = -100;
    call.label_smoothing = variant & 8 ? 0.1 : 0.0;
    call.weight_scale = call.divisor = call.factor = 1.0;
    call.tolerance = 0.05;
    call.losses = losses.data();
    const CrossEntropySum sum = cross_entropy(call, true, 2);
    std::vector<char> all = gradient.bytes;
    clear_nan_signs(element, all.data(), all.size());
    for (std::vector<char> more : {bytes_of(losses), bytes_of(std::vector<double>{sum.loss, sum.weight})}) {
      clear_nan_signs(Element::float64, more.data(), more.size());
      all.insert(all.end(), more.begin(), more.end());
    }
    found.push_back(all);
    names.push_back(name);
    if (has_shares) return;
    call.has_gradient = false;
    call.states = states.data();
    cross_entropy(call, false, 2);
    call.states = nullptr;
    call.known_states = states.data();
    call.has_gradient = true;
    cross_entropy_gradient(call, 2);
  });
  for (size_t t = 0; t + 1 < found.size(); ++t) compare(found.back(), found[t], "cross_entropy", names[t], n, k, variant);
}

Matrix matrix(Array& a) { return {a.data(), a.row * size_of(a.element), a.column * size_of(a.element), a.element}; }

void test_linear(int64_t n, int64_t k, int64_t d, Element element, int variant) {
  Array features(element, n, d, variant & 1, 1), weight(element, k, d, variant & 2, 1), bias(element, 1, k, false, 1);
  Array tangent(element, k, d, false, 1);
  for (Array* array : {&features, &weight, &bias, &tangent}) array->fill([] { return (uniform() - 0.5) * 2.0; });
  const RowFacts facts(n, k);
  on_each_target([&](const char*) {
    Array of_weight(element, k, d, false, 1), of_bias(element, 1, k, false, 1), of_features(element, n, d, false, 1);
    std::vector<double> losses(static_cast<size_t>(n));
    LinearLoss call{};
    call.n_rows = n, call.n_classes = k, call.n_features = d;
    call.features = matrix(features), call.weight = matrix(weight), call.bias = matrix(bias);
    call.indices = facts.targets.data();
    call.sample_weight = variant & 4 ? facts.sample_weight.data() : nullptr;
    call.class_weight = variant & 4 ? facts.class_weight.data() : nullptr;
    call.has_ignored = true, call.ignored = -100;
    call.weight_scale = 1.0, call.mean = true, call.threads = 2;
    call.losses = losses.data();
    call.weight_gradient = of_weight.data(), call.bias_gradient = of_bias.data();
    const bool is_hessian = variant & 8;
    if (is_hessian)
      call.weight_tangent = matrix(tangent);
    else
      call.features_gradient = of_features.data();
    std::vector<char> memory(size_t(chosen_linear_kernels().bytes(call)) + 64);
    char* aligned = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
    if (chosen_linear_kernels().run(call, aligned).out_of_memory) ++failures;
    ++compared;
  });
}

}  // namespace

int main() {
  const int64_t many[] = {1, 2, 3, 4, 5, 7, 8, 10, 13, 16, 17, 24, 31, 33, 40, 41, 48, 63, 64, 65, 100, 257, 1000};
  int variant = 0;
  for (int64_t k : many)
    for (int64_t n : {1, 2, 7, 15, 16, 17, 33, 50})
      for (Element element : elements) {
        if (n * k > 20000) continue;
        test_softmax(n, k, element, variant % 16);
        test_vjp(n, k, element, variant % 8);
        test_cross_entropy(n, k, element, variant % 16);
        ++variant;
      }
  for (int64_t k : {1, 2, 3, 10, 17, 64, 65, 130, 300})
    for (int64_t d : {1, 3, 16, 65})
      for (Element element : elements) test_linear(1 + below(60), k, d, element, variant++ % 16);
  // Rows longer than a block of the online sum, and more rows than one unit.
  test_softmax(3, 140000, Element::float32, 0);
  test_cross_entropy(2, 140000, Element::float32, 0);
  test_softmax(5000, 3, Element::float32, 0);
  test_cross_entropy(5000, 3, Element::float32, 2);
  std::printf("%lld comparisons, %d failures\n", (long long)compared, failures);
  return failures ? 1 : 0;
}
