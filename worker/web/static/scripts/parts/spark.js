// Spark: a small row of bars, such as the durations of the newest tasks. Beside it, words for who cannot see it.

import { s } from "../element.js";
import { look } from "./badge.js";

const WIDTH = 96;
const HEIGHT = 24;
const BAR = 6;

/** `values`: `{value, status, text}`, oldest first; as many as have room. `label` says in words what it shows. */
export function spark(values, label) {
  const shown = values.slice(-Math.floor(WIDTH / BAR));
  const most = Math.max(1, ...shown.map((each) => each.value ?? 0));
  return s(
    "svg.spark",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label },
    shown.map((each, index) => {
      const height = Math.max(2, ((each.value ?? 0) / most) * HEIGHT);
      return s(
        `rect.${look(each.status)}`,
        { x: index * BAR, y: HEIGHT - height, width: BAR - 1, height },
        s("title", each.text ?? ""),
      );
    }),
  );
}
