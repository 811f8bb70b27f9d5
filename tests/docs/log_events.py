"""What each log event means to an operator. Names, levels and fields are read from the source."""

MEANINGS = {
    "billing.line_skipped": "A line bills an outcome that its draft has already, with equal content. It adds nothing.",
    "billing.blocked": "The daemon cannot make invoices; `reason` says why. Outcomes still settle. The daemon retries.",
    "billing.unblocked": "The daemon makes invoices again.",
    "billing.closed": "Every period that ended by `until` is closed: its drafts wait to be issued.",
    "billing.closing": "So many drafts are closed so far.",
    "billing.issued": "So many drafts were issued because their grace is over.",
    "billing.not_issued": "A draft whose grace is over cannot be issued.",
    "billing.paused": "Redis is not safe to fix invoices in at the moment. `remedy` says what to change.",
    "billing.period_changes": "From `at` on, the end of the running one, periods are of another length.",
    "billing.running": "This daemon makes the invoices.",
    "billing.standby": "Another daemon, `owner`, makes the invoices. This one takes over when its lease ends.",
    "daemon.failed": "An unexpected error ended the daemon, with exit code 3. Please report it with this line.",
    "clock.accepted": "An operator accepted the server's clock with `witnd repair clock`. The daemon trusts it again.",
    "clock.jumped": "The server's clock jumped relative to the time that passed on this host. Nothing settles, closes "
    "or is issued beyond the expected time.",
    "clock.right": "The server's clock is right again, after a jump by `was_ms`.",
    "clock.stepped": "The server's clock moved by less than 5 s. The daemon follows by 0.5 ms per second.",
    "clock.unreadable": "The record of the accepted clock is damaged. `remedy` says what to do.",
    "daemon.ready": "Every partition is running, on standby or stopped; `running` says how many run here.",
    "daemon.stopping": "A signal came. What was read is committed, deliveries under way get 5 s.",
    "daemon.stopped": "The end of an orderly stop.",
    "config.rejected": "The daemon received SIGHUP. The new configuration has `mistakes`, so the old one stays in "
    "effect.",
    "config.reloaded": "The daemon received SIGHUP. `reloaded` lists settings that took effect, `needs_restart` those "
    "that "
    "need a restart.",
    "signal.ignored": "The daemon received SIGUSR1, SIGUSR2 or SIGQUIT and ignored it.",
    "daemon.cut": "A second signal came, and the stop was not waited for. Nothing is lost by it.",
    "daemon.drain_cut": "Stopping took longer than 20 s, mostly because Redis is away. Nothing is lost by it.",
    "deadline.corrected": "The stored deadline of one outcome differed from its record. The daemon corrected it.",
    "deadlines.mending": "Other hands changed the sorted set of deadlines. It is rebuilt from the records.",
    "deadlines.stray": "A stored deadline has no outcome: other hands changed the sorted set. Run `witnd audit`.",
    "delivery.unreadable": "The stored message or attempts of one delivery are damaged. Other deliveries continue.",
    "deliveries.left": "The stop cut off this many attempts. They are made again, under the same ids.",
    "deliveries.taken_out": "Deliveries of a suspended endpoint, or of a rule not in force, were parked.",
    "delivery.attempted": "One try to send. `reason` is null after a success; `next_at` is when it is tried again.",
    "embedded.died": "The private server ended and is started again. After five times the daemon ends.",
    "endpoint.unreadable": "The stored state of an endpoint is damaged. The daemon treats the endpoint as healthy.",
    "endpoint.suspended": "An endpoint answered 410, or failed for five days. See `witnd deliveries resume`.",
    "held.retried": "The catalogue changed: of `looked_at` keys with held events, `retried` can be placed now.",
    "http.failed": "A request met an error in witnd itself. The answer was 500 with the same `request_id`. At most one "
    "line a second for each route and kind of error; `suppressed` counts those in between.",
    "http.listening": "HTTP is answered at `address`.",
    "http.malformed": "Bytes came that are no HTTP request. They were answered 400, and the connection was ended. "
    "At most one line a second; `suppressed` counts those in between.",
    "http.request": "A request was answered. Successful ingestion and health checks are counted in metrics instead. "
    "Refused requests and those without a token get one line a second for each status; `suppressed` counts those in "
    "between.",
    "http.accept_failed": "The system has no open file or memory for another connection. The daemon retries "
    "every second, and logs this at most once a minute.",
    "http.connections_full": "All HTTP connections are in use. The daemon closes silent and idle ones to make room, "
    "and logs this at most once a minute.",
    "http.unavailable": "The default address of HTTP is in use, perhaps by another daemon. It is tried again.",
    "ingest.paused": "The API answers events with 503: Redis does not answer, or cannot provide `redis.durability`.",
    "ingest.resumed": "The API accepts events again.",
    "catalogue.copy_failed": "The daemon cannot read or write the copy of the catalogue in the state directory. "
    "Settlement continues, but the copy could not restore lost versions.",
    "catalogue.copy_recovered": "The daemon writes the copy of the catalogue again.",
    "journal.failed": "The daemon cannot write the journal. Settlement continues, but after a restart, lost data may "
    "go undetected.",
    "journal.recovered": "The daemon writes the journal again.",
    "lease.expired": "The lease of a partition or of the billing ran out. The daemon takes it again.",
    "lease.lost": "Another daemon, `owner`, took the lease. This one writes nothing more and waits on standby.",
    "lease.refused": "The clocks of the server and of this host differ by more than a minute. The daemon takes no "
    "lease.",
    "lease.same_instance": "Another running daemon has the same `daemon.instance`. Both work, but logs cannot "
    "distinguish them.",
    "log.blocked": "Entries wait: one is ahead of the clock (`entry_ahead`), the server's clock jumped "
    "(`clock_jumped`), or `witnd repair ahead` is unfinished (`repair_unfinished`). Logged for each reason, and again "
    "when it changes.",
    "log.dropped": "`count` log lines are missing: nobody read them in time, or the daemon could not write them.",
    "log.suppressed": "`count` lines of the event `line` with this `reason` were not written, and no further one came.",
    "log.unblocked": "The block with this `code` has ended. Another one may remain.",
    "outcome.fold_failed": "The fold failed for one outcome, which goes on hold. Please report it with this line.",
    "outcome.on_hold": "The stored data of one outcome is damaged. Its events wait; other outcomes continue. `remedy` "
    "says how to repair it.",
    "outcome.repair_refused": "The daemon cannot read what `witnd repair outcome` prepared. The outcome stays on hold.",
    "outcome.repaired": "An outcome is no longer on hold. The daemon has processed its `waiting` events.",
    "outcomes.relisting": "Lists that outcomes are found by were not complete, and are rebuilt from the records.",
    "outcomes.settled": "A commit with `count` resolutions is written.",
    "partition.paused": "Redis is not safe to bill from at the moment. `remedy` says what to change.",
    "partition.resumed": "It is safe again.",
    "partition.running": "This daemon owns the partition and begins behind the entry `cursor`.",
    "partition.standby": "Another daemon, `owner`, has the partition. This one takes over when its lease ends.",
    "redis.answer_cut": "A response, perhaps too large, did not arrive. The next call requests `next` parts.",
    "redis.back": "The call that was waiting got through.",
    "redis.loading": "Redis is loading its data. The start waits for up to 10 minutes.",
    "redis.risk": "This Redis is allowed, and can lose the last moments in a crash.",
    "redis.waiting": "Redis does not answer or refuses. It is tried again, and said again once a minute.",
    "task.failed": "A task failed with an unexpected error and runs again. Other work continues. Please report it.",
    "task.recovered": "The task works again after an error.",
    "token.unreadable": "A stored token is damaged. The API refuses it; other tokens work.",
    "relay.calls_back": "Orders of commands are heard again.",
    "relay.calls_lost": "The connection on which `witnd deliveries` tells of resends is lost. It is opened again.",
    "relay.stopped": "Deliveries have stopped; `interrupted` lists those that were cut off.",
    "relay.store_back": "It answers again.",
    "relay.store_lost": "Redis does not answer the delivery of webhooks. It is tried again.",
}
