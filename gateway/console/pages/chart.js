// SPDX-License-Identifier: MIT
// chart - lines over time as SVG: it takes its colours from the style sheet, and tells its last
// values to a screen reader.

import { h } from './ui.js';

const WIDTH = 560;
const HEIGHT = 120;
const LEFT = 44;

// 1, 2 or 5 times a power of ten, not below value.
function niceTop(value) {
    if (!(value > 0))
        return 1;
    const power = 10 ** Math.floor(Math.log10(value));
    return [1, 2, 5, 10].map((step) => step * power).find((top) => top >= value);
}

function path(values, top, slots) {
    let text = '';
    let open = false;
    values.forEach((value, i) => {
        if (value == null) {
            open = false;
            return;
        }
        const x = LEFT + (WIDTH - LEFT - 8) * (slots - values.length + i) / Math.max(1, slots - 1);
        const y = HEIGHT - 14 - (HEIGHT - 28) * value / top;
        text += (open ? 'L' : 'M') + x.toFixed(1) + ' ' + y.toFixed(1) + (open ? '' : 'h0'); // a first one is a dot
        open = true;
    });
    return text;
}

// series: [{ name, values }], the newest last; format: of one value.
export function Chart({ title, series, slots, format }) {
    const all = series.flatMap((one) => one.values).filter((value) => value != null);
    const top = niceTop(Math.max(0, ...all));
    const last = (one) => one.values.filter((value) => value != null).pop();
    const said = series.map((one) => one.name + ' ' + (last(one) == null ? 'none yet' : format(last(one)))).join(', ');
    const line = (value) => HEIGHT - 14 - (HEIGHT - 28) * value / top;
    return h('figure', { class: 'chart' },
        h('figcaption', null, title, h('span', { class: 'legend' }, series.map((one, i) =>
            h('span', { class: 'series' + i }, one.name)))),
        h('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': title + ': now ' + said },
            [0, top / 2, top].map((value) => h('g', null,
                h('line', { class: 'grid', x1: LEFT, x2: WIDTH - 8, y1: line(value), y2: line(value) }),
                h('text', { x: LEFT - 6, y: line(value) + 4, 'text-anchor': 'end' }, format(value)))),
            series.map((one, i) => h('path', { class: 'line series' + i, d: path(one.values, top, slots) }))));
}
