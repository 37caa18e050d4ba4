//! Checks that the help, the manual and the reference name every command and every flag, and no other.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Arg, Command, CommandFactory};
use regex::Regex;

use super::{Cli, definition, man};

/// Returns the full name, such as `quash account add`.
fn name(command: &Command) -> String {
    command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned()
}

fn all() -> Vec<Command> {
    definition::with_all_below(definition::top())
}

/// Returns the arguments of a command, without the global ones.
fn own_arguments(command: &Command) -> impl Iterator<Item = &Arg> {
    command
        .get_arguments()
        .filter(|arg| !arg.is_global_set() && !matches!(arg.get_id().as_str(), "help" | "version"))
}

fn flags<'a>(arguments: impl Iterator<Item = &'a Arg>) -> BTreeSet<String> {
    arguments.filter_map(|arg| arg.get_long()).map(|long| format!("--{long}")).collect()
}

fn flags_in(text: &str) -> BTreeSet<String> {
    let flag = Regex::new("--[a-z][a-z-]*").expect("a pattern");
    flag.find_iter(text).map(|found| found.as_str().to_owned()).collect()
}

fn reference() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/cli.md");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the rows of a table, each split into its code and its explanation.
fn rows<'a>(page: &'a str, heading: &str) -> Vec<(&'a str, &'a str)> {
    let section =
        page.lines().skip_while(|line| *line != heading).skip(1).take_while(|line| !line.starts_with("## "));
    section.filter_map(|line| line.strip_prefix("| `")?.split_once("` |")).collect()
}

/// Returns whether a word can name a command, such as `one-time-password`, and isn't an argument or a flag.
fn is_a_name(word: &str) -> bool {
    !word.starts_with('-') && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

#[test]
fn the_help_of_each_command_is_unchanged() {
    let mut help_texts = String::new();
    // As users see it, with the command `help`.
    let mut shown = Cli::command();
    shown.build();
    for command in
        definition::with_all_below(shown).into_iter().filter(|command| !name(command).contains(" help"))
    {
        let help = command.clone().term_width(100).render_long_help().to_string();
        let lines: String = help.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        help_texts.push_str(&format!("$ {} --help\n\n{lines}\n", name(&command)));
    }
    insta::with_settings!({ snapshot_path => "../../tests/snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("help", help_texts.trim_end());
    });
}

#[test]
fn each_flag_and_each_argument_is_explained() {
    for command in all() {
        assert!(command.get_about().is_some(), "{}", name(&command));
        for arg in command.get_arguments() {
            assert!(arg.get_help().is_some(), "{}: {}", name(&command), arg.get_id());
        }
    }
}

#[test]
fn the_manual_covers_every_command_and_flag() {
    for command in all() {
        let page = man::page(command.clone()).expect("a page").replace(r"\-", "-");
        assert!(
            page.contains(&format!(".TH {} 1", name(&command).replace(' ', "-").to_uppercase())),
            "{page}"
        );
        let written = flags_in(&page);
        for flag in flags(command.get_arguments()) {
            assert!(written.contains(&flag), "{}: {flag} isn't in {page}", name(&command));
        }
        for below in command.get_subcommands() {
            assert!(page.contains(&format!("{}(1)", name(below).replace(' ', "-"))), "{page}");
        }
    }
}

#[test]
fn the_reference_lists_exactly_all_commands_and_flags() {
    let page = reference();
    let commands = all();
    let rows: Vec<_> = rows(&page, "## The commands");
    let leaves: Vec<_> = commands.iter().filter(|command| !command.has_subcommands()).collect();
    let named = |row: &str| row.split(' ').take_while(|word| is_a_name(word)).collect::<Vec<_>>().join(" ");
    assert_eq!(
        rows.iter().map(|(row, _)| named(row)).collect::<Vec<_>>(),
        leaves.iter().map(|leaf| name(leaf)).collect::<Vec<_>>(),
        "the rows are in the order of the definition"
    );
    for ((row, _), leaf) in rows.iter().zip(&leaves) {
        assert_eq!(flags_in(row), flags(own_arguments(leaf)), "{row}");
        for positional in leaf.get_positionals() {
            let value = positional.get_value_names().expect("a name")[0].as_str();
            assert!(row.split([' ', '[', ']']).any(|word| word == value), "{row} lacks {value}");
        }
    }
}

#[test]
fn the_reference_lists_the_global_flags() {
    let top = definition::top();
    let globals = flags(top.get_arguments().filter(|arg| arg.is_global_set()));
    let page = reference();
    let listed: BTreeSet<_> = rows(&page, "# Commands").iter().flat_map(|(row, _)| flags_in(row)).collect();
    assert_eq!(listed, globals);
}

#[test]
fn the_reference_names_only_existing_commands() {
    let page = reference();
    let commands = all();
    let known: BTreeSet<_> = commands.iter().flat_map(|command| flags(command.get_arguments())).collect();
    assert_eq!(flags_in(&page).difference(&known).collect::<Vec<_>>(), Vec::<&String>::new());
    let names: BTreeSet<_> = commands.iter().map(name).collect();
    let mentioned = Regex::new("`quash [a-z-]+( [a-z]+)?").expect("a pattern");
    for found in mentioned.find_iter(&page) {
        let words = found.as_str().trim_start_matches('`');
        // The word after a command without subcommands may be an argument.
        let first = words.rsplit_once(' ').map_or(words, |(first, _)| first);
        assert!(
            names.contains(words) || (words.matches(' ').count() == 2 && names.contains(first)),
            "{words}"
        );
    }
}
