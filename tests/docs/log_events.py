"""What each log event means to an operator. Names, levels and fields are read from the source."""

MEANINGS = {
    "billing.line_skipped": "A second line bills the same outcome with the same content. The daemon skips it.",
    "billing.blocked": "The daemon cannot make invoices; `reason` says why. Outcomes still settle. The daemon retries.",
    "billing.unblocked": "The daemon makes invoices again.",
    "billing.closed": "Every period that ended by `until` is closed: its drafts wait to be issued.",
    "billing.closing": "The daemon is closing drafts; `invoices` and `lines` count what is closed so far.",
    "billing.documents_not_stored": "The JSON and XML of a document are not stored. The first request stores them.",
    "billing.issued": "The daemon issued `invoices` drafts because their grace is over.",
    "billing.no_seller": "An invoice was issued without a seller. It is logged once.",
    "billing.not_issued": "A draft whose grace is over cannot be issued. It is logged once for each reason.",
    "billing.not_marked": "An unpaid invoice past its due date is damaged, so that it cannot be marked as overdue.",
    "billing.overdue": "The daemon found `invoices` overdue invoices. Each is reported once.",
    "billing.paused": "Redis is currently not safe to store invoices in. `remedy` says what to change.",
    "billing.reversal_not_credited": "The reversals on an invoice cannot be credited, because its data is damaged.",
    "billing.period_changes": "The current period ends at `at`. From then on, periods have another kind or time zone.",
    "billing.running": "This daemon owns billing and makes the invoices.",
    "billing.standby": "Another daemon, `owner`, makes the invoices. This one takes over when its lease ends.",
    "billing_event.unreadable": "A billing event is damaged, so no webhook reports it. `witnd audit` shows it.",
    "billing_events.store_lost": "Redis does not answer while the daemon queues webhooks about invoices. It retries.",
    "billing_events.store_recovered": "The daemon queues webhooks about invoices again.",
    "daemon.failed": "An unexpected error ended the daemon, with exit code 3. Please report it with this line.",
    "clock.accepted": "An operator accepted the server's clock with `witnd repair clock`. The daemon trusts it again.",
    "clock.jumped": "The server's clock jumped relative to the time that passed on this host. Nothing settles, closes "
    "or is issued beyond the expected time.",
    "clock.recovered": "The server's clock is right again, after a jump by `was_ms`.",
    "clock.stepped": "The server's clock moved by less than 5 s. The daemon follows by 0.5 ms per second.",
    "clock.unreadable": "The record of the accepted clock is damaged. `remedy` says what to do.",
    "daemon.ready": "Every partition is running, on standby or stopped; `running` counts those that run here.",
    "daemon.stopping": "The daemon received a signal. It commits what it has read. Deliveries under way get 5 s, or "
    "0.3 s if another daemon waits for the partitions.",
    "daemons.changed": "Other daemons of the deployment started or ended; `others` names those that run. The daemons "
    "distribute the partitions again.",
    "daemons.unreadable": "The list of daemons cannot be read, so partitions are not distributed again. See `remedy`.",
    "daemon.stopped": "The daemon stopped in order.",
    "config.rejected": "The daemon received SIGHUP. The new configuration has `mistakes`, so the old one stays in "
    "effect.",
    "config.reloaded": "The daemon received SIGHUP. `reloaded` lists settings that took effect, `needs_restart` those "
    "that need a restart.",
    "signal.ignored": "The daemon received SIGUSR1, SIGUSR2 or SIGQUIT and ignored it.",
    "daemon.forced_exit": "The daemon received a second signal and stopped at once. Nothing is lost.",
    "daemon.drain_timeout": "Stopping took longer than 20 s, usually because Redis does not answer. Nothing is lost.",
    "deadline.corrected": "The stored deadline of one outcome differed from its record. The daemon corrected it.",
    "deadlines.rebuilding": "The deadline index does not match the records, because another program changed it. The "
    "daemon rebuilds it.",
    "deadlines.orphaned": "A stored deadline has no outcome, because another program changed the index. Run `witnd "
    "audit`.",
    "delivery.unreadable": "The stored message or attempts of one delivery are damaged. Other deliveries continue.",
    "deliveries.interrupted": "The stop interrupted `count` attempts. The next owner repeats them under the same ids.",
    "deliveries.parked": "Deliveries of a suspended endpoint, or of a rule that is not in effect, were parked.",
    "delivery.attempted": "One attempt to send. `reason` is null after a success; `next_at` is when the next follows.",
    "embedded.died": "The private server exited. The daemon restarts it up to five times, then exits.",
    "endpoint.unreadable": "The stored state of an endpoint is damaged. The daemon treats the endpoint as healthy.",
    "endpoint.suspended": "An endpoint answered 410, or failed for five days. See `witnd deliveries resume`.",
    "events.forwarded": "`count` events arrived in the log that their key had before a repartition. The daemon wrote "
    "them to the right log.",
    "held.retried": "The catalogue changed: of `looked_at` keys with held events, `retried` can be placed now.",
    "http.failed": "A request met an error in witnd itself. The answer was 500 with the same `request_id`. At most one "
    "line a second for each route and kind of error; `suppressed` counts those in between.",
    "http.listening": "The daemon answers HTTP at `address`.",
    "http.malformed": "A client sent bytes that are not an HTTP request. The daemon answered 400 and closed the "
    "connection. At most one line a second; `suppressed` counts those in between.",
    "http.request": "A request was answered. Successful ingestion and health checks are counted only in metrics. "
    "Refused requests and those without a token get one line a second for each status; `suppressed` counts those in "
    "between.",
    "http.accept_failed": "The system has no open file or memory for another connection. The daemon retries "
    "every second, and logs this at most once a minute.",
    "http.connections_full": "All HTTP connections are in use. The daemon closes silent and idle ones to make room, "
    "and logs this at most once a minute.",
    "http.unavailable": "The default HTTP address is in use, perhaps by another daemon. The daemon retries.",
    "ingest.paused": "The API answers events with 503: Redis does not answer, or cannot provide `redis.durability`.",
    "ingest.resumed": "The API accepts events again.",
    "catalogue.copy_failed": "The daemon cannot read or write the copy of the catalogue in the state directory. "
    "Settlement continues, but the copy could not restore lost versions.",
    "catalogue.copy_recovered": "The daemon writes the copy of the catalogue again.",
    "journal.failed": "The daemon cannot write the journal. Settlement continues, but after a restart, lost data may "
    "go undetected.",
    "journal.recovered": "The daemon writes the journal again.",
    "lease.expired": "The lease of a partition or of billing expired. The daemon takes it again.",
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
    "outcome.on_hold": "The stored data of one outcome is damaged, or its fold failed. Its events wait; other outcomes "
    "continue. `remedy` says how to repair it.",
    "outcome.repair_refused": "The daemon cannot read what `witnd repair outcome` prepared. The outcome stays on hold.",
    "outcome.repaired": "An outcome is no longer on hold. The daemon has processed its `waiting` events.",
    "outcomes.reindexing": "Lists of outcomes were incomplete. The daemon rebuilds them from the records.",
    "outcomes.reversed": "A commit with `count` reversals of confirmed outcomes is written.",
    "outcomes.settled": "A commit with `count` resolutions is written.",
    "partition.paused": "Redis is currently not safe to bill from. `remedy` says what to change.",
    "partition.resumed": "Redis is safe again, and the partition continues.",
    "partition.running": "This daemon owns the partition and continues after the entry `cursor`.",
    "partition.stopped": "Redis lost data of this partition, and this daemon no longer processes it. See `remedy`.",
    "partition.reloading": "Redis may have lost unconfirmed entries or steps. The daemon loads the partition again.",
    "partition.undone": "Redis lost unconfirmed steps, as after a failover. The daemon decides them again.",
    "steps.confirmed": "Steps of a partition are confirmed again.",
    "steps.unconfirmed": "Steps are written, but not yet as durable as `redis.durability` requires. Webhooks wait.",
    "partition.standby": "Another daemon, `owner`, has the partition or is about to take it.",
    "redis.response_lost": "A response, perhaps too large, did not arrive. The next call requests `next` parts.",
    "redis.recovered": "Redis is available again, after `seconds`.",
    "redis.loading": "Redis is loading its data. The start waits for up to 10 minutes.",
    "redis.risk": "This Redis can lose its latest writes in a crash. The daemon uses it nevertheless.",
    "redis.waiting": "Redis is unavailable or refuses commands. The daemon retries, and logs this once a minute.",
    "task.failed": "A task failed with an unexpected error and runs again. Other work continues. Please report it.",
    "task.recovered": "The task works again after an error.",
    "token.unreadable": "A stored token is damaged, and the API refuses it. `witnd tokens revoke ID` removes it.",
    "relay.subscription_recovered": "The relay receives requests of commands again.",
    "relay.subscription_lost": "The relay lost the connection for requests of `witnd deliveries`. It connects again.",
    "relay.stopped": "Deliveries have stopped; `interrupted` lists those that were cut off.",
    "relay.store_recovered": "Redis answers the relay again.",
    "relay.store_lost": "Redis does not answer the relay of webhooks. The relay retries.",
}
