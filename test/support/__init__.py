"""What tests are made with: scenes, doubles, golden data, and programs to talk to the node."""
