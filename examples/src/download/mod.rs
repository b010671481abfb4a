//! The downloader: many URLs at once through an unmodified blocking HTTP client, on one OS thread.
//!
//! Read it in this order:
//!
//! | room | what it owns |
//! |---|---|
//! | [`options`] | the command line, and the list of what is wanted |
//! | [`naming`] | which file names are safe, and who has claimed which |
//! | [`plan`] | which file each URL is to become |
//! | [`part`] | the `.part` file: begun, gone on with, renamed when whole |
//! | [`failure`] | why a file did not arrive, and whether trying again can help |
//! | [`client`] | the HTTP client's settings |
//! | [`fetch`] | one download from the request to the rename, with its retries |
//! | [`progress`] | what the user sees meanwhile |
//! | [`run`] | all downloads together: limits, stopping, the summary, the exit code |
//! | [`stop`] | Ctrl-C and SIGTERM |
//! | [`sample`] | the program without arguments: its own server, 40 files, their hashes |

pub mod client;
pub mod failure;
pub mod fetch;
pub mod naming;
pub mod options;
pub mod part;
pub mod plan;
pub mod progress;
pub mod run;
pub mod sample;
pub mod stop;
