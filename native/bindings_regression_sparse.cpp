// The pass over sparse rows, as Python sees it. See src/softclass/kernels/_cpu.pyi.
#include <nanobind/nanobind.h>
#include <nanobind/stl/tuple.h>

#include <cstdint>
#include <memory>
#include <new>
#include <tuple>

#include "arrays.hpp"
#include "bindings.hpp"
#include "regression_sparse.hpp"

namespace softclass {
namespace {

using namespace nb::literals;

// A contiguous vector of int32, held as long as this object lives.
class Indices {
 public:
  explicit Indices(nb::handle object) {
    if (PyObject_GetBuffer(object.ptr(), &buffer_, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) != 0) throw nb::python_error();
    if (buffer_.itemsize != 4 || !buffer_.format || buffer_.format[0] != 'i') {
      PyBuffer_Release(&buffer_);
      throw nb::type_error("indices must be int32");
    }
  }
  ~Indices() { PyBuffer_Release(&buffer_); }
  Indices(const Indices&) = delete;
  Indices& operator=(const Indices&) = delete;
  const int32_t* data() const { return static_cast<const int32_t*>(buffer_.buf); }
  int64_t size() const { return buffer_.len / 4; }

 private:
  Py_buffer buffer_;
};

char* contiguous(const Array& array, Element element, int64_t size, const char* rule) {
  require(array.is_c_contiguous() && (size < 0 || array.size() == size), rule);
  if (array.element() != element) throw nb::type_error(rule);
  return array.data();
}

std::tuple<double, double> sparse_regression_pass(
    nb::handle row_starts, nb::handle columns, nb::handle values, int64_t chunk_rows, nb::handle chunk_starts,
    nb::handle chunk_columns, nb::handle column_starts, nb::handle column_rows, nb::handle column_values,
    nb::handle targets, nb::handle weights, int64_t n_classes, nb::handle weight, nb::handle bias,
    nb::handle weight_tangent, nb::handle bias_tangent, nb::handle probabilities, nb::handle weight_product,
    nb::handle bias_product, bool wants_margin, int threads) {
  const Array x(values, Array::read), cx(column_values, Array::read), starts(row_starts, Array::read),
      chunks(chunk_starts, Array::read), entries(column_starts, Array::read), y(targets, Array::read),
      s(weights, Array::read), w(weight, Array::read), b(bias, Array::read), g(weight_product, Array::write),
      gb(bias_product, Array::write);
  const Indices by_row(columns), names(chunk_columns), by_column(column_rows);
  const Element real = x.element();
  if (real != Element::float32 && real != Element::float64) throw nb::type_error("values must be float32 or float64");
  SparseRegression call = {};
  require(w.rank() == 2 && w.shape()[1] % 16 == 0 && w.shape()[1] >= n_classes, "weight must be (D, step)");
  call.n_rows = y.size();
  call.n_features = w.shape()[0];
  call.n_classes = n_classes;
  call.step = w.shape()[1];
  call.is_double = real == Element::float64;
  const int64_t size = call.n_features * call.step;
  call.row_starts = reinterpret_cast<const int64_t*>(
      contiguous(starts, Element::int64, call.n_rows + 1, "row_starts must be (N + 1,), int64"));
  call.columns = by_row.data();
  call.values = contiguous(x, real, by_row.size(), "values and columns must have one length");
  require(chunk_rows > 0, "chunk_rows must be positive");
  call.chunk_rows = chunk_rows;
  call.chunk_starts = reinterpret_cast<const int64_t*>(contiguous(
      chunks, Element::int64, (call.n_rows + chunk_rows - 1) / chunk_rows + 1, "chunk_starts must be (chunks + 1,)"));
  call.chunk_columns = names.data();
  call.column_starts = reinterpret_cast<const int64_t*>(
      contiguous(entries, Element::int64, names.size() + 1, "column_starts must be one longer than chunk_columns"));
  call.column_rows = by_column.data();
  call.column_values = contiguous(cx, real, by_column.size(), "column_values and column_rows must have one length");
  call.targets = reinterpret_cast<const int64_t*>(contiguous(y, Element::int64, -1, "targets must be int64"));
  call.weights =
      reinterpret_cast<const double*>(contiguous(s, Element::float64, call.n_rows, "weights must be (N,), float64"));
  call.weight = contiguous(w, real, size, "weight must be of the dtype of the values");
  call.bias = contiguous(b, real, call.step, "bias must be (step,)");
  std::unique_ptr<Array> v, vb, p;
  if (!weight_tangent.is_none()) {
    v = std::make_unique<Array>(weight_tangent, Array::read);
    vb = std::make_unique<Array>(bias_tangent, Array::read);
    call.weight_tangent = contiguous(*v, real, size, "weight_tangent must be like weight");
    call.bias_tangent = contiguous(*vb, real, call.step, "bias_tangent must be like bias");
    require(!probabilities.is_none(), "a product needs probabilities");
  }
  if (!probabilities.is_none()) {
    p = std::make_unique<Array>(probabilities, Array::write);
    call.probabilities = contiguous(*p, real, call.n_rows * call.step, "probabilities must be (N, step)");
  }
  call.weight_product =
      reinterpret_cast<double*>(contiguous(g, Element::float64, size, "weight_product must be (D, step), float64"));
  call.bias_product =
      reinterpret_cast<double*>(contiguous(gb, Element::float64, call.step, "bias_product must be (step,), float64"));
  call.wants_margin = wants_margin;
  call.threads = threads;
  SparseEnd end;
  {
    const Unlocked unlocked(by_row.size());
    end = chosen_sparse_regression_kernels().run(call);
  }
  if (end.out_of_memory) throw std::bad_alloc();
  return {end.loss, end.margin};
}

}  // namespace

void bind_regression_sparse(nb::module_& m) {
  m.def("sparse_regression_pass", &sparse_regression_pass, "row_starts"_a, "columns"_a, "values"_a, "chunk_rows"_a,
        "chunk_starts"_a, "chunk_columns"_a, "column_starts"_a, "column_rows"_a, "column_values"_a, "targets"_a,
        "weights"_a, "n_classes"_a, "weight"_a, "bias"_a, "weight_tangent"_a.none(), "bias_tangent"_a.none(),
        "probabilities"_a.none(), "weight_product"_a, "bias_product"_a, "wants_margin"_a, "threads"_a = 0);
}

}  // namespace softclass
