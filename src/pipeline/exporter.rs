//! The metrics of this process for Prometheus: `http://ADDRESS/metrics`.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};

use crate::{Error, Result};

/// Environment variable with the address at which a process that loads the plugin shows its metrics.
pub const ENVIRONMENT: &str = "CHAOSVEIL_METRICS";

/// Edges of the histograms' buckets, in seconds: three for each power of ten, from ten microseconds on.
const SECONDS: [f64; 18] =
    [1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];

/// Whether this process shows its metrics, or has tried to.
static TRIED: AtomicBool = AtomicBool::new(false);

/// Shows the metrics of all [`Stats`](super::Stats) that are made from now on, until the process ends. To be called once.
///
/// # Errors
/// [`Error::Metrics`] if the address is taken or not of this machine, or if the process has a metrics recorder already.
pub fn serve(address: SocketAddr) -> Result<()> {
    TRIED.store(true, SeqCst);
    let refused =
        |error: metrics_exporter_prometheus::BuildError| Error::Metrics { address, reason: error.to_string() };
    PrometheusBuilder::new()
        .with_http_listener(address)
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
        .and_then(PrometheusBuilder::install)
        .map_err(refused)
}

/// As [`serve`], at the address that [`ENVIRONMENT`] names, unless that has been tried; nothing where it names none.
///
/// # Errors
/// As [`serve`]; also for what is no address.
pub fn serve_as_asked() -> Result<()> {
    match std::env::var(ENVIRONMENT) {
        Ok(text) if !text.is_empty() && !TRIED.swap(true, SeqCst) => serve(parse(&text)?),
        _ => Ok(()),
    }
}

/// Reads an address with its port.
///
/// # Errors
/// [`Error::Refused`] for anything else.
fn parse(text: &str) -> Result<SocketAddr> {
    text.parse().map_err(|_| Error::Refused("CHAOSVEIL_METRICS takes an address and a port: 127.0.0.1:9464"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_port() {
        assert!(parse("127.0.0.1:9464").is_ok() && parse("[::1]:9464").is_ok());
        for text in ["127.0.0.1", "9464", "localhost:9464", ""] {
            assert!(matches!(parse(text), Err(Error::Refused(_))), "{text}");
        }
    }

    #[test]
    fn a_taken_port_is_told() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = taken.local_addr().expect("it is bound");
        let error = serve(address).expect_err("taken").to_string();
        assert!(error.contains(&address.to_string()), "{error}");
    }
}
