//! Line charts as SVG. They are read without a script; with it, what lies under the pointer is told, and time can be
//! looked at closely (`script.js`).

use super::axis::Axis;
use super::look::{Look, legend};
use super::markup::Markup;
use serde_json::json;

/// Size of a drawing in its own units: about the pixels of a telephone, so that text stays readable there.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 276.0;
const LEFT: f64 = 86.0;
const RIGHT: f64 = 36.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 52.0;
/// How far marks may reach out of the plot.
const MARGIN: f64 = 5.0;
/// Marks of a line that are seen; between them it would be hidden.
const SEEN: usize = 8;
/// A line with more marks than this has none that tell themselves without a script.
const TOLD: usize = 60;

/// A line and what it stands for.
pub struct Line {
    pub name: String,
    pub look: Look,
    /// What says nothing of the broker is drawn faintly.
    pub faint: bool,
    /// Stretches of connected points, in units of the axes.
    pub stretches: Vec<Vec<(f64, f64)>>,
    /// Points that say something.
    pub marks: Vec<Mark>,
}

/// A point and what it says.
#[derive(Clone)]
pub struct Mark {
    pub x: f64,
    pub y: f64,
    /// Without the name of its line: `20.0 k/s at 3 s`.
    pub text: String,
}

/// A value that lines are held against.
pub struct Guide {
    pub at: At,
    pub text: String,
}

/// Where a guide crosses its axis.
#[derive(Clone, Copy)]
pub enum At {
    X(f64),
    Y(f64),
}

pub struct Chart<'a> {
    pub title: &'a str,
    /// What is left to say about it.
    pub note: &'a str,
    pub x: Axis,
    pub x_title: &'a str,
    pub x_text: &'a dyn Fn(f64) -> String,
    pub y: Axis,
    pub y_text: fn(f64) -> String,
    /// A stretch of the x axis to be shaded.
    pub shaded: Option<(f64, f64)>,
    pub guides: Vec<Guide>,
    /// Whether a stretch of x can be looked at closely: its values are plain numbers.
    pub zooms: bool,
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
            self.drawing(figure);
            let named =
                self.lines.iter().map(|line| (line.name.as_str(), line.look, !line.stretches.is_empty()));
            legend(named, figure);
            figure.data("marks", &self.marks());
        });
    }

    fn drawing(&self, figure: &mut Markup) {
        let view = format!("0 0 {WIDTH} {HEIGHT}");
        let span = self.zooms.then(|| self.x.span()).map(|(from, to)| format!("{from} {to}"));
        let mut svg =
            vec![("class", "chart"), ("viewBox", &view), ("role", "img"), ("aria-label", self.title)];
        svg.extend(span.as_deref().map(|span| ("data-span", span)));
        figure.element("svg", &svg, |svg| {
            self.grid(svg);
            let [x, width] = [LEFT - MARGIN, WIDTH - LEFT - RIGHT + 2.0 * MARGIN].map(|at| at.to_string());
            let [y, height] = [TOP - MARGIN, HEIGHT - TOP - BOTTOM + 2.0 * MARGIN].map(|at| at.to_string());
            let view = format!("{x} {y} {width} {height}");
            let plot = [("class", "plot"), ("x", &x), ("y", &y), ("width", &width), ("height", &height)];
            // What is drawn in here ends at its edges, however closely it is looked at.
            svg.element("svg", &[&plot[..], &[("viewBox", &view)]].concat(), |plot| {
                self.shade(plot);
                self.lines.iter().for_each(|line| self.line(line, plot));
            });
            self.guides.iter().enumerate().for_each(|(row, guide)| self.guide(row, guide, svg));
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
            rule(svg, "rule", (LEFT, y), (right, y));
            label(svg, "end", (LEFT - 6.0, y + 4.0), &(self.y_text)(*tick));
        }
        for tick in &self.x.ticks {
            let place = format!("translate({:.1} 0)", self.x(*tick));
            svg.element("g", &[("class", "tick"), ("transform", &place)], |tick_svg| {
                rule(tick_svg, "rule", (0.0, TOP), (0.0, floor));
                label(tick_svg, "middle", (0.0, floor + 22.0), &(self.x_text)(*tick));
            });
        }
        label(svg, "middle", ((LEFT + right) / 2.0, HEIGHT - 6.0), self.x_title);
    }

    /// Across the plot, with its text in a row of its own where it stands upright.
    fn guide(&self, row: usize, guide: &Guide, svg: &mut Markup) {
        let (floor, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        match guide.at {
            At::X(value) => {
                let x = self.x(value);
                rule(svg, "guide", (x, TOP), (x, floor));
                let beyond_middle = x > (LEFT + right) / 2.0;
                let (anchor, x) = if beyond_middle { ("end", x - 5.0) } else { ("start", x + 5.0) };
                named(svg, anchor, (x, TOP + 12.0 + 16.0 * row as f64), &guide.text);
            }
            At::Y(value) => {
                let y = self.y(value);
                rule(svg, "guide", (LEFT, y), (right, y));
                // Where another one lies there already, its text is at the other end.
                let near =
                    |other: &&Guide| matches!(other.at, At::Y(other) if (self.y(other) - y).abs() < 18.0);
                let taken = self.guides[..row].iter().filter(near).count() % 2 == 1;
                let (anchor, x) = if taken { ("end", right - 5.0) } else { ("start", LEFT + 5.0) };
                named(svg, anchor, (x, if y > TOP + 16.0 { y - 5.0 } else { y + 14.0 }), &guide.text);
            }
        }
    }

    fn line(&self, line: &Line, svg: &mut Markup) {
        let class = if line.faint { "line faint" } else { "line" };
        svg.element("g", &[("class", class)], |group| {
            let stroke = line.look.stroke();
            for stretch in &line.stretches {
                let points: Vec<String> =
                    stretch.iter().map(|(x, y)| format!("{:.1},{:.1}", self.x(*x), self.y(*y))).collect();
                // A line of one point has round ends.
                let points =
                    if let [alone] = &points[..] { format!("{alone} {alone}") } else { points.join(" ") };
                group.void("polyline", &[("class", &stroke), ("points", &points)]);
            }
            // Lines that lie on each other have their marks at different places.
            let step = line.marks.len().div_ceil(SEEN).max(1);
            for (at, mark) in line.marks.iter().enumerate() {
                let seen = line.stretches.is_empty() || at % step == (line.look.0 * step / 3) % step;
                if seen || line.marks.len() <= TOLD {
                    self.mark(line, mark, seen, group);
                }
            }
        });
    }

    fn mark(&self, line: &Line, mark: &Mark, seen: bool, svg: &mut Markup) {
        let class = if seen { format!("mark {}", line.look.fill()) } else { "mark hidden".to_owned() };
        let place = format!("translate({:.1} {:.1})", self.x(mark.x), self.y(mark.y));
        let path = [("class", class.as_str()), ("d", line.look.shape()), ("transform", &place)];
        svg.element("path", &path, |path| {
            path.leaf("title", &[], &format!("{}: {}", line.name, mark.text));
        });
    }

    /// What the script tells of: where marks are in the drawing, and what they say.
    fn marks(&self) -> serde_json::Value {
        let place = |at: f64| (at * 10.0).round() / 10.0;
        let lines = self.lines.iter().filter(|line| !line.marks.is_empty()).map(|line| {
            let marks = line
                .marks
                .iter()
                .map(|mark| json!([place(self.x(mark.x)), place(self.y(mark.y)), mark.text]));
            json!({ "name": line.name, "marks": marks.collect::<Vec<_>>() })
        });
        json!({ "left": LEFT, "right": WIDTH - RIGHT, "lines": lines.collect::<Vec<_>>() })
    }
}

fn rule(svg: &mut Markup, class: &str, from: (f64, f64), to: (f64, f64)) {
    let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(|at| format!("{at:.1}"));
    svg.void("line", &[("class", class), ("x1", &x1), ("y1", &y1), ("x2", &x2), ("y2", &y2)]);
}

fn label(svg: &mut Markup, anchor: &str, at: (f64, f64), text: &str) {
    let [x, y] = [at.0, at.1].map(|at| format!("{at:.1}"));
    svg.leaf("text", &[("x", &x), ("y", &y), ("text-anchor", anchor)], text);
}

/// The text of a guide, which stays readable on lines.
fn named(svg: &mut Markup, anchor: &str, at: (f64, f64), text: &str) {
    let [x, y] = [at.0, at.1].map(|at| format!("{at:.1}"));
    svg.leaf("text", &[("class", "named"), ("x", &x), ("y", &y), ("text-anchor", anchor)], text);
}
