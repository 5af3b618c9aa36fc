//! nginx as the yardstick: a mature proxy on the same machine, in the same minutes, for the same POST.
//!
//! Set up as someone who cares about its speed would: no access log, kept-alive connections on both
//! sides that are never recycled, bodies that never touch a disk.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::proc;
use crate::process::{Process, Program};

/// A running nginx with one worker.
#[derive(Debug)]
pub(crate) struct Nginx {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    /// Master and worker.
    pub(crate) pids: Vec<u32>,
    /// Its configuration and temporary files.
    _prefix: TempDir,
}

/// The program, if this machine has it.
pub(crate) fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        // Debian installs it where the PATH of a user who is not root does not look.
        .chain([PathBuf::from("/usr/sbin")])
        .map(|directory| directory.join("nginx"))
        .find(|program| program.is_file())
}

/// Its version as it says it: `nginx/1.22.1`.
pub(crate) fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("-v").output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let (_, version) = text.rsplit_once("nginx version: ")?;
    Some(version.trim().to_owned())
}

impl Nginx {
    pub(crate) async fn start(
        program: &Path,
        app: SocketAddr,
        core: Option<usize>,
    ) -> Result<Self> {
        let prefix = tempfile::tempdir()?;
        let address = free_address()?;
        let configuration = prefix.path().join("nginx.conf");
        fs::write(&configuration, configure(address, app))?;
        let program = Program {
            command: vec![
                program.to_string_lossy().into_owned(),
                "-p".to_owned(),
                prefix.path().to_string_lossy().into_owned(),
                "-c".to_owned(),
                configuration.to_string_lossy().into_owned(),
            ],
            environment: Vec::new(),
            core,
        };
        let (mut process, _) = Process::start(&program)?;
        for _ in 0..1000 {
            process.check_running().context("nginx does not start")?;
            let workers = proc::children(process.pid())?;
            if !workers.is_empty() && TcpStream::connect(address).is_ok() {
                let pids = [vec![process.pid()], workers].concat();
                return Ok(Self {
                    process,
                    address,
                    pids,
                    _prefix: prefix,
                });
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("nginx does not listen:\n{}", process.last_lines());
    }
}

/// A port that was free a moment ago: nginx cannot be asked for the one it got.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn configure(address: SocketAddr, app: SocketAddr) -> String {
    format!(
        "daemon off;
worker_processes 1;
{user}
pid nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    server_tokens off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;

    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    tcp_nodelay on;
    client_max_body_size 0;
    # Bodies stay in memory and are passed on as they come, in as few pieces as possible.
    client_body_buffer_size 2m;

    upstream app {{
        server {app};
        keepalive 256;
        keepalive_requests 1000000000;
        keepalive_timeout 1h;
    }}
    server {{
        listen {address} backlog=4096;
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_request_buffering off;
            proxy_buffering on;
        }}
    }}
}}
",
        // As root, the worker would become a user who may not enter the temporary directory.
        user = if is_root() { "user root;" } else { "" },
    )
}

fn is_root() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("\nUid:\t0\t"))
}
