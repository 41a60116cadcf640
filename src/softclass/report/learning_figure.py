"""The curves of a network's training, as SVG: loss over the epochs, on the rows it learns from and on others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup

from softclass.report.numbers import figure
from softclass.report.path_figures import nice_ticks, spread
from softclass.report.svg import picture, points, shape

Words = Callable[..., Markup]

EPOCH_TICKS = 8  # on the level axis, at most
LABEL_HEIGHT = 15.0  # px between the names of the two curves


def learning_figure(
    train: Sequence[float], judged: Sequence[float], best_epoch: int, label: str, words: Words
) -> Markup:
    """Loss over epochs: both curves with their names at their ends, and a line at the epoch that was kept."""
    left, top, wide, tall, names = 52.0, 26.0, 420.0, 200.0, 120.0
    epochs = len(train)
    ticks = nice_ticks(min([*train, *judged]), max([*train, *judged]))
    bottom, ceiling = ticks[0], ticks[-1]

    def across(epoch: float) -> float:
        return left + wide * (epoch - 1) / max(1, epochs - 1)

    def up(loss: float) -> float:
        return top + tall * (ceiling - loss) / (ceiling - bottom)

    body = [shape("rect", x=left, y=top, width=wide, height=tall, class_="paper")]
    for tick in ticks:
        body.append(shape("line", x1=left, x2=left + wide, y1=up(tick), y2=up(tick), class_="grid"))
        body.append(shape("text", f"{tick:g}", x=left - 7, y=up(tick) + 4, class_="tick end"))
    every = max(1, -(-epochs // EPOCH_TICKS))
    for epoch in range(1, epochs + 1):
        if epoch == 1 or epoch % every == 0:
            body.append(shape("text", str(epoch), x=across(epoch), y=top + tall + 17, class_="tick middle"))
    if best_epoch:
        x = across(best_epoch)
        body.append(shape("line", x1=x, x2=x, y1=top, y2=top + tall, class_="chosen"))
        body.append(shape("text", words("learning_best", epoch=best_epoch), x=x, y=top - 6, class_="tick middle"))
    curves = [(words("learning_train"), train)] + ([(words("learning_judged"), judged)] if judged else [])
    ends = spread([up(losses[-1]) for _, losses in curves], top + 6, top + tall, LABEL_HEIGHT)
    for number, ((name, losses), end) in enumerate(zip(curves, ends, strict=True)):
        line = points((across(epoch), up(loss)) for epoch, loss in enumerate(losses, start=1))
        body.append(shape("polyline", points=line, class_=f"curve line{number}"))
        for epoch, loss in enumerate(losses, start=1):
            title = shape("title", f"{name} · {epoch}: {figure(loss)}")
            body.append(shape("circle", title, cx=across(epoch), cy=up(loss), r=2.5, class_=f"dot{number}"))
        body.append(shape("text", name, x=left + wide + 13, y=end + 4, class_=f"name name{number}"))
    body.append(shape("text", words("axis_loss"), x=0.0, y=12.0, class_="label"))
    body.append(shape("text", words("axis_epoch"), x=left + wide, y=top + tall + 34, class_="label end"))
    return picture(left + wide + 13 + names, top + tall + 40, label, body, kind="path")
