// The pass over rows of which most numbers are at rest, as Python sees it. See src/softclass/kernels/_cpu.pyi.
#include <nanobind/nanobind.h>

#include <cstdint>
#include <memory>
#include <new>

#include "bindings.hpp"
#include "contiguous.hpp"
#include "regression.hpp"
#include "regression_compact.hpp"

namespace softclass {
namespace {

using namespace nb::literals;
using Held = std::unique_ptr<Array>;

Held held(nb::handle object, Array::Access access) {
  return object.is_none() ? nullptr : std::make_unique<Array>(object, access);
}

template <class T>
T* numbers(const Held& array, Element element, int64_t count, const char* rule) {
  return array ? reinterpret_cast<T*>(contiguous(*array, element, count, rule)) : nullptr;
}

void require_memory(bool is_well) {
  if (!is_well) throw std::bad_alloc();
}

void compact_make(nb::handle features, nb::handle rest, nb::handle factor, nb::handle counts, nb::handle row_starts,
                  nb::handle columns, nb::handle values, int threads) {
  const Array x(features, Array::read), at_rest(rest, Array::read), by(factor, Array::read);
  const Held n(held(counts, Array::write)), starts(held(row_starts, Array::read)), c(held(columns, Array::write)),
      v(held(values, Array::write));
  require(x.rank() == 2 && x.is_c_contiguous(), "features must be (N, D), contiguous");
  if (x.element() != Element::float32 && x.element() != Element::float64)
    throw nb::type_error("features must be float32 or float64");
  CompactMaking call = {};
  call.features = x.data();
  call.is_double = x.element() == Element::float64;
  call.n_rows = x.shape()[0];
  call.n_features = x.shape()[1];
  require(call.n_features <= compact_most_features, "there are too many features");
  call.rest =
      reinterpret_cast<const double*>(contiguous(at_rest, Element::float64, call.n_features, "rest must be (D,)"));
  call.factor =
      reinterpret_cast<const double*>(contiguous(by, Element::float64, call.n_features, "factor must be (D,)"));
  call.counts = numbers<int64_t>(n, Element::int64, call.n_rows, "counts must be (N,), int64");
  call.row_starts = numbers<const int64_t>(starts, Element::int64, call.n_rows + 1, "row_starts must be (N + 1,), int64");
  require(!call.counts == (starts && c && v), "either counts, or row_starts, columns and values");
  if (starts) {
    const int64_t size = call.row_starts[call.n_rows];
    for (int64_t i = 0; i < call.n_rows; ++i)
      require(call.row_starts[i] >= 0 && call.row_starts[i] <= call.row_starts[i + 1] &&
                  call.row_starts[i + 1] - call.row_starts[i] <= call.n_features + compact_unit - 1,
              "row_starts must rise by what a row can hold");
    require(c->size() >= size && v->size() >= size, "columns and values must have room for all entries");
    call.columns = numbers<uint16_t>(c, Element::bfloat16, -1, "columns must be uint16");
    call.values = numbers<float>(v, Element::float32, -1, "values must be float32");
  }
  call.threads = threads;
  const Unlocked unlocked(call.n_rows * call.n_features);
  require_memory(chosen_compact_kernels().make(call));
}

// Rows of compact form.
class Rows {
 public:
  Rows(nb::handle row_starts, nb::handle columns, nb::handle values)
      : starts_(row_starts, Array::read), columns_(columns, Array::read), values_(values, Array::read) {
    entries.row_starts =
        reinterpret_cast<const int64_t*>(contiguous(starts_, Element::int64, -1, "row_starts must be int64"));
    entries.columns =
        reinterpret_cast<const uint16_t*>(contiguous(columns_, Element::bfloat16, -1, "columns must be uint16"));
    entries.values = reinterpret_cast<const float*>(
        contiguous(values_, Element::float32, columns_.size(), "values must be float32, as many as columns"));
    require(starts_.size() > 0 && entries.row_starts[count()] <= columns_.size(), "row_starts must end within the columns");
  }

  int64_t count() const { return starts_.size() - 1; }
  int64_t size() const { return entries.row_starts[count()]; }
  void require_count(int64_t wanted) const { require(count() == wanted, "row_starts must be (N + 1,), int64"); }

  CompactEntries entries = {};

 private:
  Array starts_, columns_, values_;
};

// Some of them.
class Chosen {
 public:
  Chosen(nb::handle rows, const Rows& all) : rows_(rows, Array::read) {
    which = reinterpret_cast<const int64_t*>(contiguous(rows_, Element::int64, -1, "rows must be int64"));
    for (int64_t i = 0; i < count(); ++i) require(which[i] >= 0 && which[i] < all.count(), "rows must be there");
  }

  int64_t count() const { return rows_.size(); }

  const int64_t* which = nullptr;

 private:
  Array rows_;
};

void compact_take(nb::handle row_starts, nb::handle columns, nb::handle values, nb::handle rows, nb::handle out_starts,
                  nb::handle out_columns, nb::handle out_values, int threads) {
  const Rows all(row_starts, columns, values);
  const Chosen chosen(rows, all);
  const Array starts(out_starts, Array::read), c(out_columns, Array::write), v(out_values, Array::write);
  CompactTaking call = {};
  call.entries = all.entries;
  call.rows = chosen.which;
  call.count = chosen.count();
  call.row_starts = reinterpret_cast<const int64_t*>(
      contiguous(starts, Element::int64, call.count + 1, "out_starts must be (n + 1,), int64"));
  require(call.row_starts[0] == 0, "out_starts must begin at 0");
  for (int64_t i = 0; i < call.count; ++i) {
    const int64_t* const from = all.entries.row_starts + call.rows[i];
    require(call.row_starts[i + 1] - call.row_starts[i] == from[1] - from[0], "out_starts must rise by what rows hold");
  }
  const int64_t size = call.row_starts[call.count];
  call.columns =
      reinterpret_cast<uint16_t*>(contiguous(c, Element::bfloat16, size, "out_columns must hold all entries, uint16"));
  call.values =
      reinterpret_cast<float*>(contiguous(v, Element::float32, size, "out_values must hold all entries, float32"));
  call.threads = threads;
  const Unlocked unlocked(size);
  chosen_compact_kernels().take(call);
}

void compact_expand(nb::handle row_starts, nb::handle columns, nb::handle values, nb::handle base, nb::handle rows,
                    nb::handle out, int threads) {
  const Rows all(row_starts, columns, values);
  const Chosen chosen(rows, all);
  const Array b(base, Array::read), to(out, Array::write);
  CompactExpansion call = {};
  call.entries = all.entries;
  call.base = reinterpret_cast<const float*>(contiguous(b, Element::float32, -1, "base must be (D,), float32"));
  call.rows = chosen.which;
  call.n_features = b.size();
  call.count = chosen.count();
  call.out = reinterpret_cast<float*>(
      contiguous(to, Element::float32, call.count * call.n_features, "out must be (n, D), float32"));
  call.threads = threads;
  const Unlocked unlocked(call.count * call.n_features);
  chosen_compact_kernels().expand(call);
}

void compact_lengths(nb::handle row_starts, nb::handle columns, nb::handle values, nb::handle shift, nb::handle lengths,
                     int threads) {
  const Rows rows(row_starts, columns, values);
  const Array s(shift, Array::read), to(lengths, Array::write);
  CompactLengths call = {};
  call.entries = rows.entries;
  call.n_rows = rows.count();
  call.n_features = s.size();
  call.shift = reinterpret_cast<const double*>(contiguous(s, Element::float64, -1, "shift must be (D,), float64"));
  call.lengths =
      reinterpret_cast<double*>(contiguous(to, Element::float64, call.n_rows, "lengths must be (N,), float64"));
  call.threads = threads;
  const Unlocked unlocked(rows.size());
  chosen_compact_kernels().lengths(call);
}

// Rows with their targets and weights, and a point.
class PointRows {
 public:
  PointRows(nb::handle row_starts, nb::handle columns, nb::handle values, nb::handle targets, nb::handle row_weights,
            nb::handle weight, nb::handle bias, bool is_wide)
      : rows_(row_starts, columns, values), targets_(targets, Array::read), weight_(weight, Array::read),
        bias_(bias, Array::read), row_weights_(held(row_weights, Array::read)) {
    require(weight_.rank() == 2 && weight_.shape()[0] > 2 && weight_.shape()[0] <= compact_most_outputs,
            "weight must be (R, D), R 3 to 32");
    call.n_outputs = weight_.shape()[0];
    call.n_features = weight_.shape()[1];
    call.n_rows = targets_.size();
    const int64_t size = call.n_outputs * call.n_features;
    rows_.require_count(call.n_rows);
    call.entries = rows_.entries;
    call.targets = reinterpret_cast<const int64_t*>(contiguous(targets_, Element::int64, -1, "targets must be int64"));
    call.row_weights =
        numbers<const double>(row_weights_, Element::float64, call.n_rows, "row_weights must be (N,), float64");
    call.weight = reinterpret_cast<const double*>(contiguous(weight_, Element::float64, size, "weight must be float64"));
    call.bias =
        reinterpret_cast<const double*>(contiguous(bias_, Element::float64, call.n_outputs, "bias must be (R,)"));
    call.is_wide = is_wide;
  }

  int64_t size() const { return rows_.size(); }

  CompactPass call = {};

 private:
  Rows rows_;
  Array targets_, weight_, bias_;
  Held row_weights_;
};

void compact_pass(nb::handle row_starts, nb::handle columns, nb::handle values, nb::handle targets,
                  nb::handle row_weights, nb::handle weight, nb::handle bias, nb::handle weight_tangent,
                  nb::handle bias_tangent, nb::handle sums, bool with_margin, nb::handle curvature, nb::handle chances,
                  bool is_wide, int threads) {
  PointRows rows(row_starts, columns, values, targets, row_weights, weight, bias, is_wide);
  const Held total(held(sums, Array::write)), v(held(weight_tangent, Array::read)), vb(held(bias_tangent, Array::read)),
      by_row(held(curvature, Array::write)), by_class(held(chances, Array::write));
  CompactPass& call = rows.call;
  call.weight_tangent =
      numbers<const double>(v, Element::float64, call.n_outputs * call.n_features, "weight_tangent must be like weight");
  call.bias_tangent = numbers<const double>(vb, Element::float64, call.n_outputs, "bias_tangent must be like bias");
  require(!call.weight_tangent == !call.bias_tangent, "weight_tangent and bias_tangent come together");
  call.with_margin = with_margin;
  call.curvature = numbers<double>(by_row, Element::float64, call.n_rows, "curvature must be (N,), float64");
  call.chances = numbers<float>(by_class, Element::float32, call.n_outputs * call.n_rows, "chances must be (R, N), float32");
  call.sums = numbers<double>(total, Element::float64, compact_numbers(call.n_features, call.n_outputs),
                              "sums must have regression_compact_numbers(D, R) of float64");
  require(!call.sums == (call.curvature || call.chances), "either sums, or curvature or chances");
  call.threads = threads;
  const Unlocked unlocked(rows.size());
  require_memory(chosen_compact_kernels().pass(call));
}

void compact_hessian(nb::handle row_starts, nb::handle columns, nb::handle values, nb::handle targets,
                     nb::handle row_weights, nb::handle weight, nb::handle bias, nb::handle shift, double least,
                     nb::handle sums, bool is_wide, int threads) {
  PointRows rows(row_starts, columns, values, targets, row_weights, weight, bias, is_wide);
  const Array by(shift, Array::read), out(sums, Array::write);
  const int64_t R = rows.call.n_outputs, D = rows.call.n_features;
  CompactHessian call = {};
  call.pass = rows.call;
  call.pass.threads = threads;
  call.shift = reinterpret_cast<const double*>(contiguous(by, Element::float64, D, "shift must be (D,), float64"));
  call.least = least;
  call.sums = reinterpret_cast<double*>(contiguous(out, Element::float64, hessian_pairs(R) * hessian_length(R, D + 1),
                                                   "sums must have regression_hessian_numbers(R, D) of float64"));
  const Unlocked unlocked(rows.size());
  require_memory(chosen_compact_kernels().hessian(call));
}

void compact_grams(nb::handle row_starts, nb::handle columns, nb::handle values, nb::handle shares, nb::handle shift,
                   nb::handle sums, int threads) {
  const Rows rows(row_starts, columns, values);
  const Array w(shares, Array::read), s(shift, Array::read), out(sums, Array::write);
  CompactGrams call = {};
  call.entries = rows.entries;
  require(w.rank() == 2 && w.shape()[0] > 0 && w.shape()[0] <= compact_most_outputs, "shares must be (R, N), R up to 32");
  call.n_outputs = w.shape()[0];
  call.n_rows = w.shape()[1];
  call.n_features = s.size();
  require(call.n_features <= compact_most_gram_features, "there are too many features");
  call.shares = reinterpret_cast<const float*>(
      contiguous(w, Element::float32, call.n_outputs * call.n_rows, "shares must be (R, N), float32"));
  rows.require_count(call.n_rows);
  call.shift = reinterpret_cast<const double*>(contiguous(s, Element::float64, -1, "shift must be (D,), float64"));
  call.sums = reinterpret_cast<double*>(contiguous(
      out, Element::float64, call.n_outputs * (call.n_features + 1) * (call.n_features + 1),
      "sums must be (R, D + 1, D + 1), float64"));
  call.threads = threads;
  const Unlocked unlocked(rows.size());
  require_memory(chosen_compact_kernels().grams(call));
}

}  // namespace

void bind_regression_compact(nb::module_& m) {
  m.def("regression_compact_numbers", [](int64_t n_features, int64_t n_outputs) {
    return compact_numbers(n_features, n_outputs);
  }, "n_features"_a, "n_outputs"_a);
  m.def("regression_compact_make", &compact_make, "features"_a, "rest"_a, "factor"_a, "counts"_a.none(),
        "row_starts"_a.none(), "columns"_a.none(), "values"_a.none(), "threads"_a = 0);
  m.def("regression_compact_lengths", &compact_lengths, "row_starts"_a, "columns"_a, "values"_a, "shift"_a, "lengths"_a,
        "threads"_a = 0);
  m.def("regression_compact_take", &compact_take, "row_starts"_a, "columns"_a, "values"_a, "rows"_a, "out_starts"_a,
        "out_columns"_a, "out_values"_a, "threads"_a = 0);
  m.def("regression_compact_expand", &compact_expand, "row_starts"_a, "columns"_a, "values"_a, "base"_a, "rows"_a,
        "out"_a, "threads"_a = 0);
  m.def("regression_compact_pass", &compact_pass, "row_starts"_a, "columns"_a, "values"_a, "targets"_a,
        "row_weights"_a.none(), "weight"_a, "bias"_a, "weight_tangent"_a.none(), "bias_tangent"_a.none(), "sums"_a.none(),
        "with_margin"_a, "curvature"_a.none(), "chances"_a.none(), "is_wide"_a = false, "threads"_a = 0);
  m.def("regression_compact_hessian", &compact_hessian, "row_starts"_a, "columns"_a, "values"_a, "targets"_a,
        "row_weights"_a.none(), "weight"_a, "bias"_a, "shift"_a, "least"_a, "sums"_a, "is_wide"_a = false, "threads"_a = 0);
  m.def("regression_compact_grams", &compact_grams, "row_starts"_a, "columns"_a, "values"_a, "shares"_a, "shift"_a,
        "sums"_a, "threads"_a = 0);
}

}  // namespace softclass
