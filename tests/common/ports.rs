//! Ports of this machine.

/// A port that nobody uses now.
pub fn free_port() -> String {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port().to_string()
}
