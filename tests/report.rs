//! `malaria-bench report` as it is used: runs against the built-in reflector, read again.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn malaria_bench(directory: &Path, arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_malaria-bench");
    let output = Command::new(program).args(arguments).current_dir(directory).output();
    output.expect("the program starts")
}

fn stdout(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// A short run, kept as `name`. How this machine fares meanwhile is no matter of this test.
fn record(directory: &Path, name: &str, clients: &str) {
    let arguments = ["--embedded", "--duration", "1s", "--warmup", "0", "--quiet"];
    let flags = ["--clients", clients, "--rate", "2k", "--json", name];
    let output = malaria_bench(directory, &[arguments.as_slice(), &flags].concat());
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 6)), "{code:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn read(path: PathBuf) -> String {
    std::fs::read_to_string(path).expect("was written")
}

/// Issue section 1: the main job says what its record is, and it is that.
#[test]
fn a_record_is_as_the_main_jobs_schema_says() {
    let directory = tempfile::tempdir().expect("a directory");
    let here = directory.path();
    record(here, "run.json", "10");
    let schema = stdout(&malaria_bench(here, &["--json-schema"]));
    let schema: serde_json::Value = serde_json::from_str(&schema).expect("JSON");
    let validator = jsonschema::draft202012::new(&schema).expect("a schema");
    let run: serde_json::Value = serde_json::from_str(&read(here.join("run.json"))).expect("JSON");
    if let Some(error) = validator.iter_errors(&run).next() {
        panic!("{}: {error}", error.instance_path());
    }
}

/// checklist 76, 77
#[test]
fn two_runs_are_compared_as_text_html_and_csv() {
    let directory = tempfile::tempdir().expect("a directory");
    let here = directory.path();
    record(here, "few.json", "10");
    record(here, "many.json", "100");

    let table = stdout(&malaria_bench(here, &["report", "few.json", "many.json"]));
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows.len(), 3, "{table}");
    assert!(rows[0].starts_with("run") && rows[0].ends_with("verdict") && rows[0].contains("flight p99"));
    assert!(rows[1].starts_with("few ") && rows[2].starts_with("many "), "{table}");
    assert!(rows[1].contains(" k/s"), "{table}");

    let flags = ["report", "few.json", "many.json", "--html", "both.html", "--csv", "both.csv"];
    assert_eq!(stdout(&malaria_bench(here, &flags)), "", "files only");
    let page = read(here.join("both.html"));
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    assert_eq!(page.matches("<article id=").count(), 2);
    assert!(page.contains("--clients 100 --rate 2k") && !page.contains("http:"));
    let csv = read(here.join("both.csv"));
    assert!(csv.starts_with("run,latency,quantile,value_ns,count\nfew,tcp_connect,"));
    let samples = |run: &str| {
        let rows = csv.lines().filter_map(|row| row.strip_prefix(&format!("{run},flight_response,")));
        let counts = rows.map(|row| row.rsplit(',').next().and_then(|count| count.parse::<u64>().ok()));
        counts.sum::<Option<u64>>().expect("counts")
    };
    assert!(samples("few") > 0 && samples("many") > 0);
    assert_eq!(samples("total"), samples("few") + samples("many"));
    assert!(csv.lines().all(|row| row.split(',').count() == 5), "no line is empty");

    let text = stdout(&malaria_bench(here, &["report", "--text", "few.json"]));
    assert!(text.contains("\nasked ") && text.contains("10 clients, pairs"), "{text}");
    let text = stdout(&malaria_bench(here, &["report", "--text", "few.json", "many.json"]));
    assert!(text.starts_with("=== few\n") && text.contains("\n\n=== many\n"), "{text}");
}

#[test]
fn what_cannot_be_read_or_written_is_told_in_one_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let here = directory.path();
    let write = |name: &str, text: &str| std::fs::write(here.join(name), text).expect("room");
    write("words.json", "no record\n");
    write("other.json", r#"{ "schema": "malaria-bench/9" }"#);
    write("binary.json", "\0");
    for (arguments, code, parts) in [
        (&["absent.json"][..], 2, &["absent.json: cannot be read"][..]),
        (&["words.json"], 2, &["words.json: not a record"]),
        (&["binary.json"], 2, &["binary.json: not a record"]),
        (&["other.json"], 2, &["other.json: ", "`malaria-bench/9`"]),
        (&["."], 2, &["./binary.json: not a record"]),
        (&["other.json", "--html", "other.json"], 2, &["--html other.json: that is a record"]),
        (&["other.json", "--html", "x", "--csv", "x"], 2, &["are both x"]),
        (&["other.json", "--html", "-", "--text"], 2, &["standard output takes one"]),
        // the place comes first: what is wrong with the record is not even looked at
        (&["absent.json", "--html", "no/such/folder.html"], 3, &["--html no/such/folder.html: "]),
        (&["absent.json", "--csv", "."], 3, &["--csv .: "]),
    ] {
        let output = malaria_bench(here, &[&["report"], arguments].concat());
        let errors = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
        assert!(errors.starts_with("error: ") && errors.lines().count() == 1, "{arguments:?}: {errors}");
        assert!(parts.iter().all(|part| errors.contains(part)), "{arguments:?}: {errors}");
    }
    assert_eq!(malaria_bench(here, &["report"]).status.code(), Some(2), "nothing to report on");
    let output = malaria_bench(here, &["report", "words.json", "--html", "never.html"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(!here.join("never.html").exists(), "no empty report is left behind");
}

/// A search has a page and its summary again; what is of runs alone is refused in one line, and nothing is written.
#[test]
fn a_search_for_a_capacity_is_reported() {
    let directory = tempfile::tempdir().expect("a directory");
    let here = directory.path();
    let flags = "capacity --embedded --clients 4 --min 300 --max 300 --duration 300ms --warmup 100ms --trials 1 --confirm 0 \
                 --curve 0 --time-limit 5s --quiet --json search.json";
    let output = malaria_bench(here, &flags.split_whitespace().collect::<Vec<_>>());
    let code = output.status.code();
    // The highest rate to try is no capacity, and a busy machine says nothing.
    assert!(matches!(code, Some(6 | 9)), "{code:?}: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(stdout(&malaria_bench(here, &["report", "search.json", "--html", "search.html"])), "");
    let page = read(here.join("search.html"));
    assert!(page.contains("<h1>Capacity: search</h1>") && page.contains("--max 300"), "{page}");
    let text = stdout(&malaria_bench(here, &["report", "search.json"]));
    assert!(text.contains("exit code ") && text.contains("\nsearch "), "{text}");
    record(here, "run.json", "4");
    for (arguments, part) in [
        (&["search.json", "--csv", "never"][..], "--csv: it is of runs"),
        (&["search.json", "--baseline", "search.json"], "--hgrm and --baseline are of runs"),
        (&["search.json", "run.json", "--html", "never"], "search.json: runs and searches"),
    ] {
        let output = malaria_bench(here, &[&["report"], arguments].concat());
        let errors = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(part) && errors.lines().count() == 1, "{arguments:?}: {errors}");
        assert!(!here.join("never").exists(), "{arguments:?}");
    }
}
