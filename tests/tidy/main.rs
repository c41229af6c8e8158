//! The rules of the house, held by the machine: floors, floors without input and output, sizes, `unsafe`, and
//! comments. ARCHITECTURE.md says why. Each failure names the place, the rule and the fix.

mod itself;
mod names;
mod rules;
mod source;

use source::Source;

#[track_caller]
fn holds(rule: fn(&Source) -> Vec<String>) {
    let broken: Vec<_> = Source::all().iter().flat_map(rule).collect();
    assert!(broken.is_empty(), "broken {} times:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn imports_go_strictly_down() {
    holds(rules::floors);
}

#[test]
fn the_lower_floors_and_the_crew_have_no_socket_thread_or_clock() {
    holds(rules::sans_io);
}

#[test]
fn functions_and_files_are_short() {
    holds(rules::sizes);
}

#[test]
fn only_the_engine_is_unsafe() {
    holds(rules::safe);
}

#[test]
fn what_others_build_on_is_documented() {
    holds(rules::documented);
}
