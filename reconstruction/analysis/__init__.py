"""What a picture says about its specimen."""
