//! What is made of the flags.

use std::path::Path;
use std::process::{Command, Output};

fn bench(line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_malaria-bench")).args(line.split_whitespace()).output().expect("it runs")
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// bash itself completes with what is printed for it.
#[test]
fn bash_completes_flags_of_both_programs() {
    for (program, word, completed) in
        [("malaria-bench", "--metr", "--metrics"), ("malaria", "publ", "publish")]
    {
        let script = said(&bench(&format!("completions bash --program {program}")));
        let complete = format!(
            "{script}\nCOMP_WORDS=({program} {word}); COMP_CWORD=1; COMP_LINE='{program} {word}'; COMP_POINT=${{#COMP_LINE}}\n\
             $(complete -p {program} | grep -o -- '-F [^ ]*' | cut -c4-) {program} {word} {program}\n\
             printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let output = Command::new("bash").args(["--norc", "-c", &complete]).output().expect("bash runs");
        let replies = said(&output);
        assert!(replies.lines().any(|reply| reply == completed), "{program} {word}: {replies}");
    }
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        assert!(said(&bench(&format!("completions {shell}"))).contains("linger"), "{shell}");
    }
    assert_eq!(bench("completions csh").status.code(), Some(2));
}

/// What tools/install leaves is where bash, zsh, fish and man look for it.
#[test]
fn completions_and_pages_are_installed() {
    let built = Path::new(env!("CARGO_BIN_EXE_malaria-bench")).parent().expect("a folder");
    let (folder, tool) =
        (tempfile::tempdir().unwrap(), Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/install"));
    let output =
        Command::new(tool).arg("--from").arg(built).arg(folder.path()).output().expect("a shell runs");
    assert!(said(&output).contains("/bin is to be on your PATH"));
    let read = |path: &str| {
        let path = folder.path().join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    for (path, has) in [
        ("share/bash-completion/completions/malaria-bench", "--broker-metrics"),
        ("share/bash-completion/completions/malaria", "--stagger"),
        ("share/zsh/site-functions/_malaria-bench", "#compdef malaria-bench"),
        ("share/zsh/site-functions/_malaria", "#compdef malaria"),
        ("share/fish/vendor_completions.d/malaria.fish", "-l stagger"),
        ("share/man/man1/malaria-bench.1", ".TH "),
        ("share/man/man1/malaria-publish.1", ".TH "),
    ] {
        assert!(read(path).contains(has), "{has} is not in {path}");
    }
    let program = folder.path().join("bin/malaria");
    assert!(said(&Command::new(program).arg("--version").output().expect("it runs")).contains("malaria"));
}

#[test]
fn there_is_a_page_for_each_command() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    said(&bench(&format!("man {}", pages.display())));
    for (page, has) in [
        ("malaria-bench.1", "\\-\\-linger"),
        ("malaria-bench-report.1", "\\-\\-html"),
        ("malaria-publish.1", "\\-\\-stagger"),
        ("malaria.1", "Exit codes"),
    ] {
        let text =
            std::fs::read_to_string(pages.join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
        assert!(text.contains(has) && text.contains(".TH "), "{has} is not in {page}");
    }
    // A file is where the folder is to be.
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert_eq!(bench(&format!("man {}", file.join("man1").display())).status.code(), Some(3));
}

#[test]
fn the_version_says_what_it_was_built_from() {
    let long = said(&bench("--version"));
    for part in [env!("CARGO_PKG_VERSION"), "\ncommit ", "\ntarget ", "\nprotocols MQTT 3.1", "\nfeatures "] {
        assert!(long.contains(part), "{part}: {long}");
    }
    assert_eq!(said(&bench("-V")), format!("malaria-bench {}\n", env!("CARGO_PKG_VERSION")));
}
