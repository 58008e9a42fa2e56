"""The page for people, under `/ui`: what it is made of lies in `web`, and all that it does it asks of the API."""
