// <data-chart>: bars or lines of the numbers at an address, with error bars, and marks where a value is withheld.
// See ../README.md. SVG: sharp on paper, and drawn without a <style> element.
import { BarChart, CustomChart, LineChart } from "echarts/charts";
import { GridComponent, LegendComponent, TooltipComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";

use([BarChart, CustomChart, GridComponent, LegendComponent, LineChart, SVGRenderer, TooltipComponent]);

const CHINESE = document.documentElement.lang.startsWith("zh");
const FAILED = CHINESE ? "无法加载图表。数值见表格。" : "The chart could not be loaded. The table has its numbers.";
const CAP_PX = 5;
const SERIES_MAX = 6;

class DataChart extends HTMLElement {
  #chart = null;
  #data = null;
  #dark = matchMedia("(prefers-color-scheme: dark)");
  #draw = () => this.#drawn();
  #sizes = new ResizeObserver(() => this.#chart?.resize());

  async connectedCallback() {
    this.#dark.addEventListener("change", this.#draw);
    try {
      const response = await fetch(this.getAttribute("src"), { headers: { Accept: "application/json" } });
      if (!response.ok) throw new Error(String(response.status));
      this.#data = await response.json();
    } catch {
      this.textContent = FAILED;
      return;
    }
    const box = document.createElement("div");
    box.className = "drawing";
    box.setAttribute("role", "img");
    box.setAttribute("aria-label", spoken(this.getAttribute("label") ?? "", this.#data));
    this.replaceChildren(box);
    this.#chart = init(box, null, { renderer: "svg" });
    this.#drawn();
    this.#sizes.observe(box);
  }

  disconnectedCallback() {
    this.#dark.removeEventListener("change", this.#draw);
    this.#sizes.disconnect();
    this.#chart?.dispose();
    this.#chart = null;
  }

  #drawn() {
    const style = getComputedStyle(this);
    const color = (name) => style.getPropertyValue(name).trim();
    this.#chart?.setOption(optionOf(this.#data, color, style.fontFamily), { notMerge: true });
  }
}

function optionOf(data, color, fontFamily) {
  const text = { color: color("--text"), fontFamily, fontSize: 13 };
  const quiet = { color: color("--muted"), fontFamily, fontSize: 12 };
  const line = { lineStyle: { color: color("--line") } };
  const many = data.series.length > 1;
  return {
    animation: false,
    color: Array.from({ length: SERIES_MAX }, (_, place) => color(`--series-${place + 1}`)),
    textStyle: text,
    grid: { left: 8, right: 16, top: many ? 44 : 28, bottom: 8, outerBoundsMode: "same" },
    legend: { show: many, top: 0, left: 0, textStyle: text, type: "plain" },
    tooltip: {
      trigger: "axis", renderMode: "richText", confine: true, textStyle: text,
      backgroundColor: color("--card"), borderColor: color("--line-strong"),
      formatter: (points) => spokenAt(data, points[0].dataIndex),
    },
    xAxis: {
      type: "category", data: data.x.map((each) => each ?? "—"), name: data.x_name, nameLocation: "middle", nameGap: 28,
      nameTextStyle: quiet, axisLabel: { ...quiet, hideOverlap: true }, axisLine: line, axisTick: { show: false },
    },
    yAxis: {
      type: "value", name: data.y_name, nameTextStyle: { ...quiet, align: "left" }, axisLabel: { ...quiet, formatter: number },
      splitLine: line, scale: data.kind === "line",
    },
    series: data.series.flatMap((each, place) => seriesOf(data, each, place, color)),
  };
}

function seriesOf(data, each, place, color) {
  const made = [{
    type: data.kind === "line" ? "line" : "bar", name: each.name, data: each.values, barMaxWidth: 48, symbolSize: 7,
    itemStyle: data.kind === "line" ? {} : { borderRadius: [2, 2, 0, 0] },
  }];
  const offsets = { count: data.series.length, place };
  if (each.low) {
    made.push({
      type: "custom", name: each.name, z: 5, silent: true, itemStyle: { color: color("--text") },
      data: each.values.map((_, at) => [at, each.low[at], each.high[at]]),
      encode: { x: 0, y: [1, 2] },
      renderItem: (_, api) => bar(api, offsets, color("--text"), data.kind),
    });
  }
  const withheld = each.values.flatMap((value, at) => (value === null ? [[at, 0]] : []));
  if (withheld.length) {
    made.push({
      type: "custom", name: each.name, z: 6, silent: true, data: withheld, encode: { x: 0, y: 1 },
      renderItem: (_, api) => mark(api, offsets, color("--muted"), data.kind),
    });
  }
  return made;
}

function middle(api, { count, place }, kind) {
  const at = api.coord([api.value(0), 0])[0];
  if (kind === "line" || count === 1) return at;
  const found = api.barLayout({ count, barMaxWidth: 48 });
  return at + found[place].offsetCenter;
}

function bar(api, offsets, stroke, kind) {
  const [low, high] = [api.value(1), api.value(2)];
  if (!Number.isFinite(low) || !Number.isFinite(high)) return undefined;
  const x = middle(api, offsets, kind);
  const [top, bottom] = [api.coord([0, high])[1], api.coord([0, low])[1]];
  const piece = (x1, y1, x2, y2) => ({ type: "line", shape: { x1, y1, x2, y2 }, style: { stroke, lineWidth: 1.5 } });
  return {
    type: "group",
    children: [
      piece(x, top, x, bottom), piece(x - CAP_PX, top, x + CAP_PX, top), piece(x - CAP_PX, bottom, x + CAP_PX, bottom),
    ],
  };
}

/** A value that is withheld is not nought: a dashed box with a cross, on the axis. */
function mark(api, offsets, stroke, kind) {
  const x = middle(api, offsets, kind);
  const y = api.coord([0, 0])[1];
  const style = { stroke, fill: "none", lineWidth: 1.5 };
  const cross = (x1, y1, x2, y2) => ({ type: "line", shape: { x1, y1, x2, y2 }, style });
  return {
    type: "group",
    children: [
      { type: "rect", shape: { x: x - 9, y: y - 20, width: 18, height: 18, r: 2 }, style: { ...style, lineDash: [3, 2] } },
      cross(x - 4, y - 15, x + 4, y - 7), cross(x - 4, y - 7, x + 4, y - 15),
    ],
  };
}

const format = new Intl.NumberFormat(CHINESE ? "zh-CN" : "en", { maximumFractionDigits: 4 });
const number = (value) => format.format(value);

function spokenAt(data, at) {
  const rows = data.series.map((each) => {
    const value = each.values[at];
    if (value === null) return `${each.name}: ${data.withheld ?? "—"}`;
    const spread = each.low && each.low[at] !== null ? ` (${number(each.low[at])} – ${number(each.high[at])})` : "";
    return `${each.name}: ${number(value)}${spread}`;
  });
  return [data.x[at] ?? "—", ...rows].join("\n");
}

function spoken(label, data) {
  const points = data.x.slice(0, 30).map((_, at) => spokenAt(data, at).replaceAll("\n", ", "));
  return [label, ...points].join(". ");
}

customElements.define("data-chart", DataChart);
