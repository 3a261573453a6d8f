//! Servers that hang, break off, trickle, flood, or send elsewhere.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::time::Instant;

use crate::server::{Reply, Server};
use crate::spoken::{ADVICE, ok};
use crate::strict::Api;
use crate::{World, outcome};

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_or_trickles_costs_the_time_and_one_request() {
    let head = b"HTTP/1.1 200 x\r\ncontent-length: 1000000\r\n\r\n".to_vec();
    for api in Api::BOTH {
        for reply in [
            Reply::Hang,
            Reply::Trickle(head.clone()),
            Reply::Trickle(b"HTTP/1.1 200 x\r\nx-a: ".to_vec()),
            Reply::Trickle([&head[..], b"{\"type\":\"message\",\"content\":\""].concat()),
            Reply::Trickle(b"HTTP/1.1 429 x\r\ncontent-length: 1000000\r\n\r\n".to_vec()),
        ] {
            let (world, began) = (World::always(api, reply.clone()).await, Instant::now());
            assert_eq!((outcome(&world.ask().await).as_str(), world.requests()), ("late", 1), "{reply:?}");
            let took = began.elapsed().as_secs_f64();
            assert!((29.9..30.1).contains(&took), "{api:?} {reply:?}: {took}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_is_over_all_attempts() {
    for api in Api::BOTH {
        let busy = Reply::answer(503, &[("retry-after", "20")], "");
        let world = World::new(api, move |_, number| if number == 0 { busy.clone() } else { Reply::Hang }).await;
        let began = Instant::now();
        assert_eq!((outcome(&world.ask().await).as_str(), world.requests()), ("late", 2));
        let took = began.elapsed().as_secs_f64();
        assert!((29.9..30.1).contains(&took), "{took}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_is_tried_again_and_is_no_answer() {
    for api in Api::BOTH {
        let body = api.says(ADVICE).to_string();
        let begun = format!("HTTP/1.1 200 x\r\ncontent-length: {}\r\n\r\n{}", body.len(), &body[..body.len() / 2]);
        for reply in [
            Reply::Reset(vec![]),
            Reply::Raw(vec![]),
            Reply::Raw(begun.clone().into_bytes()),
            Reply::Reset(begun.into_bytes()),
        ] {
            let world = World::always(api, reply.clone()).await;
            assert_eq!((outcome(&world.ask().await).as_str(), world.requests()), ("unavailable", 3), "{reply:?}");
        }
        let gone = World::always(api, Reply::Hang).await;
        let model = gone.model();
        drop(gone);
        assert_eq!(outcome(&model.complete("s", "u").await), "unavailable");
    }
}

/// Zeros, packed without ever lying unpacked in memory.
fn bomb(megabytes: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..megabytes {
        encoder.write_all(&vec![b' '; 1 << 20]).unwrap();
    }
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_body_without_an_end_is_not_read_to_its_end() {
    let gzip = [("content-encoding", "gzip")];
    for api in Api::BOTH {
        for (reply, expected, requests) in [
            (
                Reply::Endless(b"HTTP/1.1 200 x\r\ncontent-length: 100000000\r\n\r\n".to_vec(), vec![b' '; 1 << 16]),
                "unavailable",
                1,
            ),
            (Reply::Endless(b"HTTP/1.1 200 x\r\n\r\n".to_vec(), vec![b'{'; 1 << 16]), "unavailable", 1),
            (Reply::Endless(b"HTTP/1.1 400 x\r\n\r\n".to_vec(), vec![b'{'; 1 << 16]), "rejected", 1),
            (
                Reply::Endless(b"HTTP/1.1 429 x\r\nx-should-retry: false\r\n\r\n".to_vec(), vec![b'x'; 1 << 16]),
                "unavailable",
                1,
            ),
            (Reply::answer(200, &gzip, bomb(100)), "unavailable", 1),
            (Reply::answer(404, &gzip, bomb(100)), "denied", 1),
            (Reply::answer(200, &gzip, "not packed"), "unavailable", 1),
        ] {
            let world = World::always(api, reply).await;
            assert_eq!((outcome(&world.ask().await).as_str(), world.requests()), (expected, requests), "{api:?}");
        }
        // What is packed and small is an answer like any other.
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(api.says(ADVICE).to_string().as_bytes()).unwrap();
        let world = World::always(api, Reply::answer(200, &gzip, packed.finish().unwrap())).await;
        assert_eq!(outcome(&world.ask().await), "Scale 5");
    }
}

#[tokio::test]
async fn neither_key_nor_question_goes_to_where_a_redirect_points() {
    for api in Api::BOTH {
        let elsewhere = Server::always(ok(&api.says(ADVICE))).await;
        for status in [300, 301, 302, 303, 305, 307, 308] {
            let to = format!("{}/v1/messages", elsewhere.url());
            let world = World::always(api, Reply::answer(status, &[("location", &to)], "")).await;
            let answer = world.ask().await;
            assert_eq!((outcome(&answer).as_str(), world.requests()), ("denied", 1), "{api:?} {status}");
            assert!(answer.unwrap_err().to_string().contains(&elsewhere.url()), "it says where to");
        }
        assert!(elsewhere.seen().is_empty());
    }
}
