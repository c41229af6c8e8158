//! Charts over each variable.

use super::{Figure, Group, RATES, TAILS, known};
use crate::report::html::axis::Axis;
use crate::report::html::chart::{Chart, Line, Mark};
use crate::report::html::look::Look;
use crate::report::html::markup::Markup;
use crate::stats::inference::median;

/// Most lines of a chart that anybody can follow.
const LINES: usize = 12;
/// Most values that are named below a chart.
const NAMED: usize = 6;

/// For each variable that has several values: the rate and the tail over it, a line for each broker with each
/// combination of the others.
pub fn write(groups: &[Group], page: &mut Markup) {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in groups.iter().flat_map(|group| group.variables) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    for name in names {
        let values = values(groups, name);
        if values.len() > 1 {
            page.leaf("h2", &[], &format!("Over {name}"));
            over(groups, name, &values, page);
        }
    }
}

/// What a variable has been, in that order.
fn values<'s>(groups: &[Group<'s>], name: &str) -> Vec<&'s str> {
    let mut values: Vec<&str> = Vec::new();
    for (_, value) in groups.iter().flat_map(|group| group.variables).filter(|(known, _)| known == name) {
        if !values.contains(&value.as_str()) {
            values.push(value);
        }
    }
    values
}

fn over(groups: &[Group], name: &str, values: &[&str], page: &mut Markup) {
    let mut left_out = 0;
    page.element("div", &[("class", "charts")], |charts| {
        for (figures, logarithmic) in [(&RATES[..], false), (&TAILS[..], true)] {
            let Some(figure) = known(figures, groups) else { continue };
            let mut lines = lines(groups, name, values, figure);
            left_out = lines.len().saturating_sub(LINES);
            lines.truncate(LINES);
            draw(name, values, figure, logarithmic, lines, charts);
        }
    });
    if left_out > 0 {
        let text = format!("{LINES} lines are drawn; {left_out} more are in the table below.");
        page.leaf("p", &[("class", "quiet")], &text);
    }
}

/// One for whatever is the same but for the variable.
fn lines(groups: &[Group], name: &str, values: &[&str], figure: &Figure) -> Vec<Line> {
    let mut lines: Vec<(String, Vec<&Group>)> = Vec::new();
    for group in groups {
        let place = [group.broker.unwrap_or_default(), &group.place(name)].join(" ");
        match lines.iter_mut().find(|(known, _)| *known == place) {
            Some((_, of)) => of.push(group),
            None => lines.push((place, vec![group])),
        }
    }
    let lines = lines.into_iter().enumerate().map(|(at, (place, of))| {
        let mark = |group: &&Group| {
            let value =
                group.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())?;
            let x = values.iter().position(|known| *known == value)? as f64;
            let y = median(&group.values(figure))?;
            let void = if group.void() { ", but the generator was the limit" } else { "" };
            let told = format!("{}{}", group.sign(figure), (figure.2)(y));
            Some(Mark { x, y, text: format!("{told} at {name}={value}{void}") })
        };
        let mut marks: Vec<Mark> = of.iter().filter_map(mark).collect();
        marks.sort_by(|one, other| one.x.total_cmp(&other.x));
        let name = if place.trim().is_empty() { figure.0.to_owned() } else { place.trim().to_owned() };
        let faint = of.iter().all(|group| group.void());
        let points = marks.iter().map(|mark| (mark.x, mark.y)).collect();
        Line { name, look: Look(at), faint, stretches: vec![points], marks }
    });
    lines.filter(|line| !line.marks.is_empty()).collect()
}

fn draw(
    name: &str,
    values: &[&str],
    figure: &Figure,
    logarithmic: bool,
    lines: Vec<Line>,
    page: &mut Markup,
) {
    let all = || lines.iter().flat_map(|line| &line.marks).map(|mark| mark.y);
    let (least, most) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
    let step = values.len().div_ceil(NAMED);
    let x_text = |at: f64| {
        let named = (at as usize).is_multiple_of(step);
        values
            .get(at as usize)
            .filter(|_| named)
            .map_or(String::new(), |value| value.chars().take(10).collect())
    };
    Chart {
        title: figure.0,
        note: if logarithmic { "median of the runs, logarithmic" } else { "median of the runs" },
        x: Axis::between((0..values.len()).map(|at| at as f64).collect()),
        x_title: name,
        x_text: &x_text,
        y: if logarithmic { Axis::logarithmic(least, most) } else { Axis::linear(most) },
        y_text: figure.2,
        shaded: None,
        guides: Vec::new(),
        zooms: false,
        lines,
    }
    .draw(page);
}
