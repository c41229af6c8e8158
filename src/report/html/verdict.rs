//! What comes first: how each run is to be taken, and whether it kept its bounds.

use super::look::{Look, swatch};
use super::markup::Markup;
use crate::record::{BoundResult, BoundState};
use crate::report::digest::Digest;
use crate::report::page::Tint;

/// Reasons of a run among several; its own part of the page has them all.
const REASONS: usize = 2;

/// A card for each run.
pub fn cards(runs: &[Digest], page: &mut Markup) {
    page.element("ul", &[("class", "cards")], |cards| {
        for (at, run) in runs.iter().enumerate() {
            cards.element("li", &[("class", class("card", run.tint, run.void).as_str())], |card| {
                card.element("h2", &[], |heading| {
                    swatch(Look(at), heading);
                    heading.leaf("a", &[("href", &format!("#run-{}", at + 1))], run.label);
                });
                badge(&run.headline, run.tint, run.void, card);
                reasons(&run.reasons[..run.reasons.len().min(REASONS)], card);
                bounds(run.bounds, card);
            });
        }
    });
}

/// The same of the only run, or at the head of its own part.
pub fn whole(run: &Digest, page: &mut Markup) {
    page.element("div", &[("class", class("card", run.tint, run.void).as_str())], |card| {
        badge(&run.headline, run.tint, run.void, card);
        reasons(&run.reasons, card);
        bounds(run.bounds, card);
    });
}

fn reasons(reasons: &[String], page: &mut Markup) {
    reasons.iter().for_each(|reason| page.leaf("p", &[], reason));
}

/// A verdict that is told apart by its sign and words, too.
pub fn badge(words: &str, tint: Tint, void: bool, page: &mut Markup) {
    page.element("span", &[("class", class("badge", tint, void).as_str())], |badge| {
        let sign = match tint {
            _ if void => "\u{2298}",
            Tint::Good => "\u{2713}",
            Tint::Warning => "!",
            Tint::Bad | Tint::Label => "\u{2715}",
        };
        badge.leaf("span", &[("aria-hidden", "true")], sign);
        badge.text(" ");
        badge.text(words);
    });
}

/// Classes of something with this verdict.
pub fn class(what: &str, tint: Tint, void: bool) -> String {
    let how = match tint {
        _ if void => "void",
        Tint::Good => "good",
        Tint::Warning => "warning",
        Tint::Bad | Tint::Label => "bad",
    };
    format!("{what} {how}")
}

fn bounds(bounds: &[BoundResult], page: &mut Markup) {
    if bounds.is_empty() {
        return;
    }
    page.element("ul", &[("class", "bounds")], |list| {
        for bound in bounds {
            let (class, sign) = match bound.result {
                BoundState::Held => ("good", "\u{2713}"),
                BoundState::Broken | BoundState::NotMeasured => ("bad", "\u{2715}"),
                BoundState::Void => ("void", "\u{2298}"),
            };
            list.element("li", &[("class", class)], |item| {
                item.leaf("span", &[("class", "sign"), ("aria-hidden", "true")], sign);
                item.text(&format!(" {bound}"));
            });
        }
    });
}
