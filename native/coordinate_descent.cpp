#include "coordinate_descent.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {
namespace {

// The minimum over one coordinate: the slope's parabola about `old`, moved towards zero by l1.
inline double best_value(double old, double slope, double curvature, double ridge, double l1) {
  const double pull = curvature * old - slope;
  if (pull > l1) return (pull - l1) / (curvature + ridge);
  if (pull < -l1) return (pull + l1) / (curvature + ridge);
  return pull != pull ? old : 0.0;
}

// y += factor x; no sum in it, so the compiler may use vectors and every target gives the same bits.
inline void add_multiple(const double* x, double factor, int64_t n, double* y) {
  for (int64_t i = 0; i < n; ++i) y[i] += factor * x[i];
}

// Returns the largest curvature * move^2.
double sweep(const QuadraticModel& m, bool over_all) {
  double largest = 0.0;
  for (int64_t j = 0; j < m.n; ++j) {
    const double old = m.weight[j], curvature = m.hessian[j * m.n + j], bend = curvature + m.ridge[j];
    if (!over_all && old == 0.0 && m.l1[j] > 0.0) continue;
    if (!(bend > 0.0)) continue;  // an empty column: nothing to gain from it
    const double fresh = best_value(old, m.slope[j], curvature, m.ridge[j], m.l1[j]), move = fresh - old;
    if (move == 0.0) continue;
    m.weight[j] = fresh;
    add_multiple(m.hessian + j * m.n, move, m.n, m.slope);
    const double gain = bend * move * move;
    if (gain > largest) largest = gain;
  }
  return largest;
}

DescentEnd run(const QuadraticModel& model, int64_t most_sweeps, double tolerance) {
  int64_t sweeps = 0;
  while (sweeps < most_sweeps) {
    ++sweeps;
    if (!(sweep(model, true) > tolerance)) return {sweeps, true};
    while (sweeps < most_sweeps) {
      ++sweeps;
      if (!(sweep(model, false) > tolerance)) break;
    }
  }
  return {sweeps, false};
}

}  // namespace

extern const DescentKernels descent_kernels;
const DescentKernels descent_kernels = {run};

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
