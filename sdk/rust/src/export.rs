//! What a module exports.

use crate::error::Error;
use crate::host;
use crate::run::Run;
use std::fmt::Display;

/// Exports what the host looks for: the marker of the ABI, and `diagnose`, which calls the given function with a [`Run`](crate::Run). The
/// function gives `Result<(), E>` with an `E` that can be displayed: [`Error`](crate::Error), a String, or `Box<dyn std::error::Error>`.
/// It is written once, in the root of the module.
#[macro_export]
macro_rules! diagnostic {
    ($diagnose:path) => {
        const _: () = {
            #[cfg_attr(target_arch = "wasm32", export_name = "tenon_abi_1")]
            #[allow(dead_code)]
            extern "C" fn tenon_marker() {}

            #[cfg_attr(target_arch = "wasm32", export_name = "diagnose")]
            #[allow(dead_code)]
            extern "C" fn tenon_diagnose() -> i32 {
                $crate::call($diagnose)
            }
        };
    };
}

/// Runs a diagnostic against the host: 0 when it is done; 1 when it failed or the [`Run`] kept a failure, whose text is then in the log.
/// [`diagnostic!`](crate::diagnostic) makes it the export.
pub fn call<E: Display>(diagnose: impl FnOnce(&Run) -> Result<(), E>) -> i32 {
    // The native tests' panics are the test runner's.
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|info| {
        host::log(&info.to_string());
    }));
    match attempt(diagnose) {
        Ok(()) => 0,
        Err(text) => {
            host::log(&text);
            1
        }
    }
}

fn attempt<E: Display>(diagnose: impl FnOnce(&Run) -> Result<(), E>) -> Result<(), String> {
    let run = Run::load().map_err(|error: Error| error.to_string())?;
    diagnose(&run).map_err(|error| error.to_string())?;
    match run.kept() {
        Some(error) => Err(error.to_string()),
        None => Ok(()),
    }
}
