//! How lines are told apart: by colour, and without colours by dashes and by the shape of their marks.

use super::markup::Markup;

/// Colours of the style sheet.
const COLORS: usize = 8;
/// Dashes of the style sheet, of which the first is none.
const DASHES: usize = 4;
/// Shapes of marks about their middle: a disc, a square, a triangle, a diamond.
const SHAPES: [&str; 4] = [
    "M-3.4 0a3.4 3.4 0 1 0 6.8 0a3.4 3.4 0 1 0-6.8 0z",
    "M-3-3h6v6h-6z",
    "M0-4.2L4 3h-8z",
    "M0-4.4L4.4 0L0 4.4L-4.4 0z",
];

/// A look by its number: no two of the first sixteen have both dashes and shape in common, and no two of the first 32
/// are alike.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look(pub usize);

impl Look {
    fn color(self) -> usize {
        self.0 % COLORS
    }

    /// The class that fills in its colour.
    pub fn fill(self) -> String {
        format!("f{}", self.color())
    }

    /// Classes of a line: colour and dashes.
    pub fn stroke(self) -> String {
        let round = self.0 / (COLORS * SHAPES.len() / 2);
        format!("l{} d{}", self.color(), (self.0 + round) % DASHES)
    }

    /// The shape of its marks, as a path.
    pub fn shape(self) -> &'static str {
        SHAPES[self.0 / DASHES % SHAPES.len()]
    }
}

/// A short piece of the line of this look, with a mark.
pub fn swatch(look: Look, page: &mut Markup) {
    sample(look, true, page);
}

fn sample(look: Look, line: bool, page: &mut Markup) {
    page.element("svg", &[("class", "swatch"), ("viewBox", "0 0 32 10"), ("aria-hidden", "true")], |svg| {
        if line {
            svg.void("polyline", &[("class", &look.stroke()), ("points", "0,5 32,5")]);
        }
        let fill = look.fill();
        svg.void("path", &[("class", &fill), ("d", look.shape()), ("transform", "translate(16 5)")]);
    });
}

/// Which line is which: its name, its look, and whether it is a line or marks alone.
pub fn legend<'a>(lines: impl Iterator<Item = (&'a str, Look, bool)>, page: &mut Markup) {
    page.element("ul", &[("class", "legend")], |list| {
        for (name, look, line) in lines {
            list.element("li", &[], |item| {
                sample(look, line, item);
                item.text(name);
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn lines_are_told_apart_without_colour() {
        let looks: Vec<Look> = (0..16).map(Look).collect();
        let dashes = |look: &Look| look.stroke().split_once(' ').expect("two classes").1.to_owned();
        let plain: BTreeSet<_> = looks.iter().map(|look| (dashes(look), look.shape())).collect();
        assert_eq!(plain.len(), 16);
        let all: BTreeSet<_> = (0..32).map(|at| (Look(at).stroke(), Look(at).shape())).collect();
        assert_eq!(all.len(), 32);
    }
}
