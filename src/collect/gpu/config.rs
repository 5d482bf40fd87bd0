//! What can be chosen about GPUs.

use std::ffi::OsString;

use super::aliases::Aliases;
use crate::collect::system::Roots;

/// Names of NVIDIA's library, in the order in which they are tried: drivers install the first, toolkits the second. The
/// loader looks for those without a folder; the others are where WSL and NixOS have it.
const LIBRARIES: [&str; 4] = [
    "libnvidia-ml.so.1",
    "libnvidia-ml.so",
    "/usr/lib/wsl/lib/libnvidia-ml.so.1",
    "/run/opengl-driver/lib/libnvidia-ml.so.1",
];

/// Configuration of the GPU collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuConfig {
    /// Other exporters' names that are published beside `gpu_*`; none by default.
    pub aliases: Vec<Aliases>,
    /// Files that are tried as NVIDIA's management library.
    pub nvml_libraries: Vec<OsString>,
    /// Where the kernel's files are.
    pub roots: Roots,
}

impl Default for GpuConfig {
    fn default() -> Self {
        Self {
            aliases: Vec::new(),
            nvml_libraries: LIBRARIES.iter().map(OsString::from).collect(),
            roots: Roots::default(),
        }
    }
}
