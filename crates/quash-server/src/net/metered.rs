//! A connection's stream that counts its bytes: for the memory of its connection, which is read only while
//! there is some, and for the progress of its responses.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::net::listen::Stream;
use crate::net::memory::MemoryAccount;
use crate::net::sending::SendProgress;

/// The interval between checks for memory.
const PAUSE: Duration = Duration::from_millis(10);

pub(crate) struct MeteredStream {
    stream: Box<dyn Stream>,
    account: MemoryAccount,
    sending: SendProgress,
    /// The pause before the next check for memory.
    pause: Option<Pin<Box<Sleep>>>,
}

impl MeteredStream {
    pub(crate) fn new(stream: Box<dyn Stream>, account: MemoryAccount, sending: SendProgress) -> Self {
        Self { stream, account, sending, pause: None }
    }

    /// Counts a write.
    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        self.sending.note(written);
        if let Poll::Ready(Ok(bytes)) = written {
            self.account.wrote(*bytes);
        }
    }

    /// Waits until closing connections have freed their memory.
    fn poll_memory(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
            if !self.account.must_wait_for_memory() {
                return Poll::Ready(());
            }
            self.pause = Some(Box::pin(sleep(PAUSE)));
        }
    }
}

impl AsyncRead for MeteredStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_memory(context));
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        Poll::Ready(self.account.read(buffer.filled().len() - before))
    }
}

impl AsyncWrite for MeteredStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
