//! Whole nights, each with an account that says by itself whether it holds.

use std::process::{Command, Output};

fn night(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_job-runner"))
        .args(args)
        .output()
        .expect("it was built before this test")
}

#[track_caller]
fn assert_kept(output: &Output) {
    let account = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{account}{errors}");
    assert_eq!(account.matches("\n  kept   ").count(), 7, "{account}");
    assert!(!account.contains("BROKEN"), "{account}");
}

/// G1, G2, G8: at least once in, once out, whoever dies where.
#[test]
fn g8_every_promise_is_kept_though_workers_die() {
    for seed in ["1", "2", "3"] {
        assert_kept(&night(&["--seed", seed, "--crashes", "0.4"]));
    }
}

/// G1, G3: leases so short that workers who are merely slow are taken for dead. No disk is as fast as
/// that, so the records are in memory.
#[test]
fn g3_every_promise_is_kept_though_the_living_are_taken_for_dead() {
    let args = ["--lease", "5ms", "--crashes", "0.2", "--workers", "16"];
    let in_memory = ["--store", "memory"];
    assert_kept(&night(&[&args[..], &in_memory].concat()));
}

/// Without crashes nobody has to look after anything.
#[test]
fn a_quiet_night_runs_every_job_once() {
    let output = night(&["--crashes", "0"]);
    assert_kept(&output);
    let account = String::from_utf8_lossy(&output.stdout);
    assert!(account.contains(" 0 workers died, "), "{account}");
    assert!(account.contains("72 pages took 72 writes"), "{account}");
}

/// The account can tell: letters that are printed again after a crash are printed twice.
#[test]
fn g8_the_wrong_choice_for_letters_is_found_out() {
    let args = ["--letters", "reclaim", "--jobs", "40", "--crashes", "0.5"];
    let output = night(&args);
    let account = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{account}");
    assert!(
        account.contains("BROKEN every letter was printed once"),
        "{account}"
    );
    assert_eq!(account.matches("BROKEN").count(), 1, "{account}");
}
