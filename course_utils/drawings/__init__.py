"""The lessons' drawings, made with `diagrams`: one function a picture."""
