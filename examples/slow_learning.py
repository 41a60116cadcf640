"""How softmax with cross-entropy removes slow learning: theory beside what is measured, in four small experiments."""

from sklearn.datasets import load_digits

from softclass.functions.slow_learning import (
    escape_time,
    logit_steps,
    loss_variant,
    median_curves,
    neuron_steps,
    neuron_time,
    split_by_class,
)

LOSSES = ("cross_entropy", "squared_error")

print("one neuron, 98 % sure of the wrong answer: steps until it doubts")
for loss in LOSSES:
    print(f"  {loss:14} {neuron_steps(4.0, loss):>8,}   theory {neuron_time(loss, 4.0):>10,.1f}")

print("ten classes, a wrong one leads by 12 nats: steps until the right one has half")
for loss in LOSSES:
    theory = escape_time(loss, 10, 12.0, learning_rate=0.5)
    print(f"  {loss:14} {logit_steps(12.0, 10, loss):>8,}   theory {theory:>10,.1f}")

print("five ways to write the loss, float32, a lead of 25 nats: loss and push on the true logit")
for name in ("naive", "shift", "eps", "clip", "logsumexp"):
    loss, gradient = loss_variant(name, [0.0, 25.0] + [0.0] * 8, 0, precision="float32")
    print(f"  {name:14} {loss:>8.3f}   push {-gradient[0] + 0.0:>8.4f}")

print("a network on digits whose last layer starts ten times too large: epochs until 90 % are right")
pixels, digits = load_digits(return_X_y=True)
train, test = ((pixels[rows] / 16, digits[rows]) for rows in split_by_class(digits))
for curve in median_curves(train, test, start_scales=[10.0]):
    print(f"  {curve['head']:14} {curve['epochs'] or 'never':>8}   after 30 epochs {curve['accuracy'][-1]:.3f}")
