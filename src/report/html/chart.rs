//! Line charts as SVG.

use super::axis::Axis;
use super::markup::Markup;

/// Size of a drawing in its own units: about the pixels of a telephone, so that text stays readable there.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 36.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 46.0;
/// Styles of lines: each colour first, then each colour again with the next dashes.
const COLORS: usize = 8;
const DASHES: usize = 4;

/// A style whose lines show where they lie on one of a lower number: another colour and other dashes.
pub fn overlapping(number: usize) -> usize {
    number + number * COLORS
}

/// The class that fills an area in the colour of a style.
pub fn fill(style: usize) -> String {
    format!("f{}", style % COLORS)
}

/// A line and what it stands for.
pub struct Line {
    pub name: String,
    /// Which style: lines of a chart with the same number look the same.
    pub style: usize,
    /// Stretches of connected points, in units of the axes.
    pub stretches: Vec<Vec<(f64, f64)>>,
    /// Points to be marked, with what they say.
    pub marks: Vec<(f64, f64, String)>,
}

pub struct Chart<'a> {
    pub title: &'a str,
    /// What is left to say about it.
    pub note: &'a str,
    pub x: Axis,
    pub x_title: &'a str,
    pub x_text: fn(f64) -> String,
    pub y: Axis,
    pub y_text: fn(f64) -> String,
    /// A stretch of the x axis to be shaded.
    pub shaded: Option<(f64, f64)>,
    pub lines: Vec<Line>,
}

impl Chart<'_> {
    /// A figure with its caption and legend.
    pub fn draw(&self, page: &mut Markup) {
        page.element("figure", &[], |figure| {
            figure.element("figcaption", &[], |caption| {
                caption.leaf("b", &[], self.title);
                if !self.note.is_empty() {
                    caption.text(" ");
                    caption.leaf("span", &[("class", "quiet")], self.note);
                }
            });
            let view = format!("0 0 {WIDTH} {HEIGHT}");
            let svg = [("class", "chart"), ("viewBox", &view), ("role", "img"), ("aria-label", self.title)];
            figure.element("svg", &svg, |svg| {
                self.shade(svg);
                self.grid(svg);
                self.lines.iter().for_each(|line| self.line(line, svg));
            });
            legend(self.lines.iter().map(|line| (line.name.as_str(), line.style)), figure);
        });
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.place(value) * (HEIGHT - TOP - BOTTOM)
    }

    fn shade(&self, svg: &mut Markup) {
        let Some((from, to)) = self.shaded else { return };
        let (left, right) = (self.x(from), self.x(to));
        let [x, width] = [left, right - left].map(|at| format!("{at:.1}"));
        let [y, height] = [TOP, HEIGHT - TOP - BOTTOM].map(|at| format!("{at:.1}"));
        svg.void("rect", &[("class", "shade"), ("x", &x), ("y", &y), ("width", &width), ("height", &height)]);
    }

    fn grid(&self, svg: &mut Markup) {
        let (floor, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for tick in &self.y.ticks {
            let y = self.y(*tick);
            rule(svg, (LEFT, y), (right, y));
            label(svg, "end", (LEFT - 6.0, y + 4.0), &(self.y_text)(*tick));
        }
        for tick in &self.x.ticks {
            let x = self.x(*tick);
            rule(svg, (x, TOP), (x, floor));
            label(svg, "middle", (x, floor + 19.0), &(self.x_text)(*tick));
        }
        label(svg, "middle", ((LEFT + right) / 2.0, HEIGHT - 6.0), self.x_title);
    }

    fn line(&self, line: &Line, svg: &mut Markup) {
        let stroke = classes('l', line.style);
        let fill = fill(line.style);
        for stretch in &line.stretches {
            let points: Vec<String> =
                stretch.iter().map(|(x, y)| format!("{:.1},{:.1}", self.x(*x), self.y(*y))).collect();
            match points.as_slice() {
                [] => {}
                [_] => dot(svg, &fill, (self.x(stretch[0].0), self.y(stretch[0].1)), &line.name),
                _ => svg.void("polyline", &[("class", &stroke), ("points", &points.join(" "))]),
            }
        }
        for (x, y, text) in &line.marks {
            dot(svg, &fill, (self.x(*x), self.y(*y)), &format!("{}: {text}", line.name));
        }
    }
}

fn rule(svg: &mut Markup, from: (f64, f64), to: (f64, f64)) {
    let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(|at| format!("{at:.1}"));
    svg.void("line", &[("class", "rule"), ("x1", &x1), ("y1", &y1), ("x2", &x2), ("y2", &y2)]);
}

fn label(svg: &mut Markup, anchor: &str, at: (f64, f64), text: &str) {
    let [x, y] = [at.0, at.1].map(|at| format!("{at:.1}"));
    svg.leaf("text", &[("x", &x), ("y", &y), ("text-anchor", anchor)], text);
}

fn dot(svg: &mut Markup, class: &str, at: (f64, f64), text: &str) {
    let [x, y] = [at.0, at.1].map(|at| format!("{at:.1}"));
    let attributes = [("class", class), ("cx", x.as_str()), ("cy", y.as_str()), ("r", "3")];
    svg.element("circle", &attributes, |circle| circle.leaf("title", &[], text));
}

/// Classes of a style: colour, and dashes where the colours have been used up.
fn classes(prefix: char, style: usize) -> String {
    format!("{prefix}{} d{}", style % COLORS, style / COLORS % DASHES)
}

/// Which line is which.
pub fn legend<'a>(lines: impl Iterator<Item = (&'a str, usize)>, page: &mut Markup) {
    page.element("ul", &[("class", "legend")], |list| {
        for (name, style) in lines {
            list.element("li", &[], |item| {
                swatch(style, item);
                item.text(name);
            });
        }
    });
}

/// A short piece of the line of this style.
pub fn swatch(style: usize, page: &mut Markup) {
    page.element("svg", &[("class", "swatch"), ("viewBox", "0 0 24 8"), ("aria-hidden", "true")], |svg| {
        svg.void("polyline", &[("class", &classes('l', style)), ("points", "0,4 24,4")]);
    });
}
