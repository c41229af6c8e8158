//! What lies between a socket and MQTT, sans-IO: bytes in, bytes out.

pub mod websocket;
