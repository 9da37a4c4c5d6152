"""Use cases over the domain and its ports; knows no technology."""
