//! The composition root of the daemon: jobs on their schedules, the socket, the end.
//!
//! Each source and each destination is a job of its own that never overlaps itself. Everything runs once at the start; after
//! that a job runs when its schedule says so. On the way out no new batch is begun, the one in hand is finished, and what can't
//! be finished in time is left in a state from which the next start goes on.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::{Notify, RwLock, watch};
use tokio::task::JoinSet;

use crate::clock;
use crate::schedule::Schedule;
use crate::tick::Engine;
use crate::web;

/// How long the batch in hand may take to finish.
pub const GRACE: Duration = Duration::from_secs(8);

/// What jobs and the socket share.
#[derive(Debug)]
pub struct Daemon {
    /// The engine.
    pub engine: Arc<Engine>,
    /// Wakes the job of a destination, or of a source that asks a tool, before its schedule does.
    wake: HashMap<String, Notify>,
    /// Held shared by every sync: the state is made small only while none is under way.
    syncs: RwLock<()>,
    /// Which sources could not be read the last time.
    failed: Mutex<HashMap<String, bool>>,
}

impl Daemon {
    /// A daemon over an engine.
    pub fn new(engine: Arc<Engine>) -> Self {
        let wake = engine.config.tools().map(|tool| (tool.name.clone(), Notify::new())).collect();
        Self { engine, wake, syncs: RwLock::default(), failed: Mutex::default() }
    }

    /// Syncs a destination, or asks a tool, now.
    pub fn wake(&self, destination: &str) {
        if let Some(wake) = self.wake.get(destination) {
            wake.notify_one();
        }
    }

    /// Keeps the state from being made small while tools are asked.
    pub async fn syncing(&self) -> tokio::sync::RwLockReadGuard<'_, ()> {
        self.syncs.read().await
    }

    /// How many sources there are, of all kinds.
    fn sources(&self) -> usize {
        self.engine.config.sources.len() + self.engine.config.readings.len()
    }

    fn a_source_failed(&self) -> bool {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).values().any(|failed| *failed)
    }
}

/// Runs until `shutdown` comes, then ends in good order.
pub async fn serve(engine: Engine, listener: UnixListener, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
    let daemon = Arc::new(Daemon::new(Arc::new(engine)));
    let (stop, stopped) = watch::channel(false);
    // How many sources have been read once, or tried in vain; destinations wait for all of them, and those that ask a tool
    // for those of usage, which tell what accounts there are.
    let (read, sources_read) = watch::channel(0usize);
    let read = Arc::new(read);
    let mut jobs = JoinSet::new();
    for index in 0..daemon.engine.config.sources.len() {
        jobs.spawn(source_job(Arc::clone(&daemon), index, Arc::clone(&read), stopped.clone()));
    }
    for index in 0..daemon.engine.config.readings.len() {
        jobs.spawn(reading_job(Arc::clone(&daemon), index, Arc::clone(&read), stopped.clone()));
    }
    for index in 0..daemon.engine.config.destinations.len() {
        jobs.spawn(destination_job(Arc::clone(&daemon), index, sources_read.clone(), stopped.clone()));
    }
    jobs.spawn(day_job(Arc::clone(&daemon), sources_read, stopped));
    let socket = tokio::spawn(web::serve(listener, Arc::clone(&daemon)));
    tracing::info!(
        sources = daemon.engine.config.sources.len(),
        destinations = daemon.engine.config.destinations.len(),
        "running"
    );

    shutdown.await;
    tracing::info!("stopping: the batch in hand is finished first");
    daemon.engine.stop.store(true, Ordering::Relaxed);
    let _ = stop.send(true);
    let finished = tokio::time::timeout(GRACE, async { while jobs.join_next().await.is_some() {} }).await;
    if finished.is_err() {
        tracing::warn!("the batch in hand did not finish in time; the next start goes on with it");
        jobs.shutdown().await;
    }
    socket.abort();
    tracing::info!("stopped");
    Ok(())
}

/// Waits until a schedule's next moment; false if the daemon is to end. Looks at the clock now and then, because it may jump.
async fn until_next(schedule: &Schedule, wake: Option<&Notify>, stopped: &mut watch::Receiver<bool>) -> bool {
    let Some(next) = schedule.after(clock::system()) else {
        let _ = stopped.wait_for(|stop| *stop).await;
        return false;
    };
    loop {
        let left = next.0 - clock::system().0;
        if left <= 0 {
            return true;
        }
        let nap = Duration::from_millis(left.unsigned_abs().min(30_000));
        let woken = async {
            match wake {
                Some(wake) => wake.notified().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return false,
            () = woken => return true,
            () = tokio::time::sleep(nap) => {}
        }
    }
}

async fn source_job(
    daemon: Arc<Daemon>,
    index: usize,
    read: Arc<watch::Sender<usize>>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut first = true;
    loop {
        let engine = Arc::clone(&daemon.engine);
        let Some(source) = engine.config.sources.get(index).cloned() else { return };
        let name = source.name.clone();
        let done = tokio::task::spawn_blocking(move || engine.ingest(&source)).await;
        let failed = match done {
            Ok(Ok(report)) => report.failed.is_some(),
            Ok(Err(error)) => {
                tracing::error!(source = %name, error = format!("{error:#}"), "reading failed");
                true
            }
            Err(error) => {
                tracing::error!(source = %name, %error, "reading broke off; please report this");
                true
            }
        };
        daemon.failed.lock().unwrap_or_else(PoisonError::into_inner).insert(name, failed);
        compact(&daemon).await;
        if first {
            read.send_modify(|count| *count += 1);
            first = false;
        }
        let Some(source) = daemon.engine.config.sources.get(index) else { return };
        if !until_next(&source.schedule, None, &mut stopped).await {
            return;
        }
    }
}

/// Asks a tool for what people wrote there.
async fn reading_job(
    daemon: Arc<Daemon>,
    index: usize,
    read: Arc<watch::Sender<usize>>,
    mut stopped: watch::Receiver<bool>,
) {
    let sources = daemon.engine.config.sources.len();
    let mut sources_read = read.subscribe();
    tokio::select! {
        _ = sources_read.wait_for(|count| *count >= sources) => {}
        _ = stopped.wait_for(|stop| *stop) => return,
    }
    let mut first = true;
    while !*stopped.borrow() {
        let Some(reading) = daemon.engine.config.readings.get(index) else { return };
        let done = {
            let _syncs = daemon.syncs.read().await;
            daemon.engine.read_tool(reading).await
        };
        if let Err(error) = done {
            tracing::error!(source = %reading.name, error = format!("{error:#}"), "reading failed");
        }
        if std::mem::take(&mut first) {
            read.send_modify(|count| *count += 1);
        }
        if !until_next(&reading.tool.schedule, daemon.wake.get(&reading.tool.name), &mut stopped).await {
            return;
        }
    }
}

async fn destination_job(
    daemon: Arc<Daemon>,
    index: usize,
    mut sources_read: watch::Receiver<usize>,
    mut stopped: watch::Receiver<bool>,
) {
    let sources = daemon.sources();
    let Some(name) = daemon.engine.config.destinations.get(index).map(|destination| destination.name.clone()) else {
        return;
    };
    tokio::select! {
        _ = sources_read.wait_for(|count| *count >= sources) => {}
        _ = stopped.wait_for(|stop| *stop) => return,
    }
    loop {
        if *stopped.borrow() {
            return;
        }
        if daemon.a_source_failed() {
            tracing::warn!(destination = %name, "not synced: a source can't be read, and old figures would look like a fall");
        } else if let Err(error) = sync(&daemon, index).await {
            tracing::error!(destination = %name, error = format!("{error:#}"), "the sync failed");
        }
        let Some(destination) = daemon.engine.config.destinations.get(index) else { return };
        if !until_next(&destination.schedule, daemon.wake.get(&name), &mut stopped).await {
            return;
        }
    }
}

/// Makes the state small if that is worth it and nothing is being synced; else the next reading asks again.
async fn compact(daemon: &Daemon) {
    let Ok(_none) = daemon.syncs.try_write() else { return };
    let engine = Arc::clone(&daemon.engine);
    match tokio::task::spawn_blocking(move || engine.compact()).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::error!(%error, "the state could not be made small"),
        Err(error) => tracing::error!(%error, "making the state small broke off; please report this"),
    }
}

/// Sees to it that each day has its snapshots soon after it is over, whatever the schedules of destinations are.
async fn day_job(daemon: Arc<Daemon>, mut sources_read: watch::Receiver<usize>, mut stopped: watch::Receiver<bool>) {
    let sources = daemon.sources();
    let Ok(hourly) = Schedule::parse("7 * * * *", daemon.engine.config.model.calendar) else { return };
    tokio::select! {
        _ = sources_read.wait_for(|count| *count >= sources) => {}
        _ = stopped.wait_for(|stop| *stop) => return,
    }
    while !*stopped.borrow() {
        if !daemon.a_source_failed() {
            let engine = Arc::clone(&daemon.engine);
            match tokio::task::spawn_blocking(move || engine.close_day(engine.clock.now())).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(error = format!("{error:#}"), "the day was not closed"),
                Err(error) => tracing::error!(%error, "closing the day broke off; please report this"),
            }
        }
        if !until_next(&hourly, None, &mut stopped).await {
            return;
        }
    }
}

async fn sync(daemon: &Daemon, index: usize) -> anyhow::Result<()> {
    let _syncs = daemon.syncs.read().await;
    let at = daemon.engine.clock.now();
    let engine = Arc::clone(&daemon.engine);
    let evaluation = tokio::task::spawn_blocking(move || engine.take_stock(at)).await??;
    if let Some(destination) = daemon.engine.config.destinations.get(index) {
        daemon.engine.sync(destination, &evaluation, false).await?;
    }
    Ok(())
}
