"""The handlers of calls, a file a topic; containerizer.api.table has which call is whose."""
