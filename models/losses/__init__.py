"""What training minimises. Plain functions of features and classes, one idea a file."""
