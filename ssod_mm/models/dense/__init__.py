"""Dense guidance (DTG): the teacher's NMS clusters teach the student's candidates."""
