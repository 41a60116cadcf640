/** How many classes the sets of panel 8 have: a bar for each size, or for each range of sizes where there are many. */
import { label, linear, svg, widthOf } from "softclass/plots";

const COLUMNS = 24; // of the histogram; above so many sizes a column is a range of them

/** Neighbouring sizes together, all ranges equally wide: [{low, high, count, missed}]. */
function rangesOf(counts, missed) {
  const wide = Math.ceil(counts.length / COLUMNS);
  const sum = (values, low) => values.slice(low, low + wide).reduce((total, value) => total + value, 0);
  return Array.from({ length: Math.ceil(counts.length / wide) }, (_, i) => {
    const low = i * wide;
    return { low, high: low + wide - 1, count: sum(counts, low), missed: sum(missed, low) };
  });
}

/**
 * Show the sizes in a figure.
 * @param {object} made a figure
 * @param {{made: object}} facts with what `sets` found
 */
export function showSizes(place, made, { made: found }) {
  const { t, integer } = place;
  const missed = found.histogram.map(() => 0);
  found.sizes.forEach((size, i) => {
    missed[size] += found.contains[i] ? 0 : 1;
  });
  const frequent = found.histogram.reduce((best, count, size) => (count > found.histogram[best] ? size : best), 0);
  const ranges = rangesOf(found.histogram, missed);
  made.show({
    summary: t("sets.histogram.summary", {
      size: integer(frequent), count: integer(found.histogram[frequent]), n: integer(found.n),
      largest: integer(found.histogram.length - 1),
    }),
    columns: [t("sets.histogram.axis"), t("sets.histogram.rows"), t("sets.histogram.missed")],
    rows: found.histogram.map((count, size) => [String(size), count, missed[size]]),
    marks: (width, height) => marks(place, ranges, width, height),
  });
}

function marks({ t, integer }, ranges, width, height) {
  const y = linear([0, Math.max(...ranges.map(({ count }) => count))], [height - 44, 40]);
  const pitch = (width - 60) / Math.max(ranges.length, 4);
  const thick = Math.min(pitch - Math.min(4, pitch / 4), 56);
  const names = ranges.map(({ low, high }) => (low === high ? String(low) : `${low}–${high}`));
  const longest = Math.max(...names.map(widthOf));
  const apart = Math.ceil((longest + 6) / pitch);
  const column = ({ count, missed }, i) => {
    const middle = 48 + (i + 0.5) * pitch;
    const box = (value, look) => {
      const place = { x: middle - thick / 2, y: y(value), width: thick, height: y(0) - y(value) };
      return svg("rect", { ...look, ...place });
    };
    const isNamed = i % apart === 0 && middle + longest / 2 <= width;
    return [
      ...(count > 0 ? [box(count, { class: "bar fill c0" })] : []),
      ...(missed > 0 ? [box(missed, { class: "bar fill c1" }), box(missed, { fill: "url(#missed)" })] : []),
      ...(count > 0 && pitch >= 26 ? [label(integer(count), middle, y(count) - 6, { anchor: "middle" })] : []),
      ...(isNamed ? [label(names[i], middle, height - 26, { anchor: "middle", style: "tick" })] : []),
    ];
  };
  const stripes = svg(
    "pattern",
    { id: "missed", width: 8, height: 8, patternUnits: "userSpaceOnUse" },
    svg("path.hatch", { d: "M0 8L8 0" }),
  );
  return [
    svg("defs", {}, stripes),
    ...ranges.flatMap(column),
    svg("line.axis", { x1: 44, x2: width - 8, y1: y(0), y2: y(0) }),
    svg("rect.bar.fill.c1", { x: 4, y: 6, width: 12, height: 12 }),
    svg("rect", { x: 4, y: 6, width: 12, height: 12, fill: "url(#missed)" }),
    label(t("sets.histogram.missed"), 22, 17),
    label(t("sets.histogram.axis"), width - 8, height - 6, { anchor: "end", style: "muted" }),
  ];
}
