//! Chromium without a screen, told what to do over its debugging pipe (the DevTools protocol). `tools/test` installs it.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(100);

pub struct Browser {
    process: Child,
    orders: ChildStdin,
    answers: Receiver<Value>,
    session: Option<String>,
    count: u64,
    /// What it told without being asked.
    events: Vec<Value>,
    /// Its profile, and what it saves.
    folder: tempfile::TempDir,
}

/// How the page is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct View {
    pub width: u32,
    pub dark: bool,
    pub media: &'static str,
    pub scripts: bool,
}

impl Browser {
    /// `None` where there is no Chromium, with a word about it; where that must not be, the end.
    pub fn start() -> Option<Browser> {
        let folder = tempfile::tempdir().expect("a directory");
        // The pipe is descriptors 3 and 4.
        let line = "exec chromium --headless --no-sandbox --disable-gpu --remote-debugging-pipe --hide-scrollbars \
                    --user-data-dir=\"$0\" about:blank 3<&0 4>&1 </dev/null >/dev/null 2>/dev/null";
        let is_there = Command::new("sh").args(["-c", "command -v chromium >/dev/null"]).status();
        if !is_there.expect("a shell").success() {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "chromium is missing: run tools/test");
            writeln!(std::io::stderr(), "SKIPPED: chromium is missing: run tools/test")
                .expect("standard error");
            return None;
        }
        let mut command = Command::new("bash");
        command.args(["-c", line]).arg(folder.path().join("profile"));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
        let orders = process.stdin.take().expect("a pipe");
        let told = BufReader::new(process.stdout.take().expect("a pipe"));
        let (sender, answers) = channel();
        // It ends with the pipe.
        std::thread::spawn(move || {
            for message in told.split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("JSON");
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let mut browser =
            Browser { process, orders, answers, session: None, count: 0, events: Vec::new(), folder };
        let target = browser.ask("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.ask("Target.attachToTarget", attach)["sessionId"].clone();
        browser.session = session.as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.ask(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// The result of a command.
    #[track_caller]
    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        self.count += 1;
        let mut order = json!({ "id": self.count, "method": method, "params": params });
        if let Some(session) = self.session.as_ref().filter(|_| !method.starts_with("Browser.")) {
            order["sessionId"] = json!(session);
        }
        self.orders.write_all(format!("{order}\0").as_bytes()).expect("it listens");
        loop {
            let told = self.next();
            if told["id"] == json!(self.count) {
                assert!(told["error"].is_null(), "{method}: {}", told["error"]);
                return told["result"].clone();
            }
            self.events.push(told);
        }
    }

    fn next(&mut self) -> Value {
        self.answers.recv_timeout(PATIENCE).expect("it answers")
    }

    /// The first event of this name that `is` one, heard before or to come.
    pub fn wait(&mut self, method: &str, is: impl Fn(&Value) -> bool) -> Value {
        let wanted = |event: &Value| event["method"] == json!(method) && is(&event["params"]);
        loop {
            if let Some(event) = self.events.iter().find(|event| wanted(event)) {
                return event["params"].clone();
            }
            let told = self.next();
            self.events.push(told);
        }
    }

    /// Opens a page; what was told of earlier ones is forgotten.
    pub fn open(&mut self, page: &str, view: View) {
        let file = self.folder.path().join("page.html");
        std::fs::write(&file, page).expect("room");
        let View { width, dark, media, scripts } = view;
        let scheme =
            json!([{ "name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" } }]);
        self.ask("Emulation.setEmulatedMedia", json!({ "media": media, "features": scheme }));
        self.ask("Emulation.setScriptExecutionDisabled", json!({ "value": !scripts }));
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.ask("Emulation.setDeviceMetricsOverride", size);
        self.events.clear();
        self.ask("Page.navigate", json!({ "url": format!("file://{}", file.display()) }));
        self.wait("Page.loadEventFired", |_| true);
    }

    /// What an expression of JavaScript is in the page.
    #[track_caller]
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let found = self.ask("Runtime.evaluate", json!({ "expression": expression, "returnByValue": true }));
        assert!(found["exceptionDetails"].is_null(), "{expression}: {}", found["exceptionDetails"]);
        found["result"]["value"].clone()
    }

    /// A key is struck, by the name that JavaScript has for it.
    pub fn strike(&mut self, key: &str) {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "Escape" => 27,
            "ArrowLeft" => 37,
            "ArrowRight" => 39,
            _ => u32::from(key.chars().next().expect("a key")),
        };
        let text = if key == "Enter" {
            "\r"
        } else if key.len() == 1 {
            key
        } else {
            ""
        };
        let down = json!({ "type": "keyDown", "key": key, "windowsVirtualKeyCode": code, "text": text });
        self.ask("Input.dispatchKeyEvent", down);
        self.ask(
            "Input.dispatchKeyEvent",
            json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": code }),
        );
    }

    /// Errors and requests that the page caused; what it was opened by is none.
    pub fn troubles(&self) -> Vec<String> {
        let trouble = |event: &Value| match event["method"].as_str()? {
            "Runtime.exceptionThrown" | "Runtime.consoleAPICalled" | "Log.entryAdded" => {
                Some(event.to_string())
            }
            "Network.requestWillBeSent" => {
                let address = event["params"]["request"]["url"].as_str()?;
                (!address.ends_with("/page.html")).then(|| address.to_owned())
            }
            _ => None,
        };
        self.events.iter().filter_map(trouble).collect()
    }

    /// Saves what is done by `act`, and returns it.
    pub fn save(&mut self, act: impl FnOnce(&mut Browser)) -> Vec<u8> {
        let folder = self.folder.path().to_owned();
        let how = json!({ "behavior": "allow", "downloadPath": folder, "eventsEnabled": true });
        self.ask("Browser.setDownloadBehavior", how);
        act(self);
        let begun = self.wait("Browser.downloadWillBegin", |_| true);
        self.wait("Browser.downloadProgress", |progress| progress["state"] == json!("completed"));
        std::fs::read(folder.join(begun["suggestedFilename"].as_str().expect("a name"))).expect("it is saved")
    }

    /// A picture of the whole page, for people: into the folder `MALARIA_SCREENSHOTS`, if that is set.
    pub fn picture(&mut self, name: &str) {
        let Some(folder) = std::env::var_os("MALARIA_SCREENSHOTS") else { return };
        let taken = self.ask("Page.captureScreenshot", json!({ "captureBeyondViewport": true }));
        keep(&Path::new(&folder).join(format!("{name}.png")), &taken);
    }

    /// The page on paper, as PDF; kept as pictures are.
    pub fn print(&mut self, name: &str) -> Vec<u8> {
        let printed = self.ask("Page.printToPDF", json!({ "preferCSSPageSize": true }));
        if let Some(folder) = std::env::var_os("MALARIA_SCREENSHOTS") {
            keep(&Path::new(&folder).join(format!("{name}.pdf")), &printed);
        }
        decoded(&printed)
    }
}

fn decoded(answer: &Value) -> Vec<u8> {
    use base64::Engine;
    let data = answer["data"].as_str().expect("data");
    base64::prelude::BASE64_STANDARD.decode(data).expect("base64")
}

fn keep(path: &Path, answer: &Value) {
    std::fs::write(path, decoded(answer)).expect("MALARIA_SCREENSHOTS is a folder");
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The shell has become the browser.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}
