"""Run by alembic; the connection comes from :func:`muru.db.migrations.upgrade`."""

from alembic import context

from muru.db import models, realtime

attributes = context.config.attributes
context.configure(
    connection=attributes["connection"],
    version_table=attributes["version_table"],
    target_metadata=[models.Base.metadata, realtime.RealtimeBase.metadata],
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
