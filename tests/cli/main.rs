//! The command line as its users meet it: the built program, its files, its exit codes.

mod bench;
mod pictures;
mod workplace;

#[test]
fn help_and_usage_errors() {
    trycmd::TestCases::new().case("tests/cmd/*.trycmd");
}
